// Package credentials makes and reads the certificates by which the hosts of a company know each other: an authority
// of the user's own (ca.pem, ca.key) and for each node a certificate and its key (NAME.pem, NAME.key), good for both
// ends of a connection. They are what crypto/tls and openssl read, so that another authority's will do as well.
//
// ca.key signs whatever may join: it stays where it was made. A node needs ca.pem and its own two files. Keys are
// ECDSA on P-256; files of keys are the user's alone, and one that others can read is refused.
//
// It leaves to its user what is said over the connections and who listens where.
package credentials
