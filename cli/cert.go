package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"troupe/credentials"
)

// localName is the certificate that is made where no hosts are named.
const localName = "node"

func (p *program) certCommand() *cli.Command {
	out := &cli.StringFlag{Name: "out", Aliases: []string{"dir"}, Usage: "`DIR` of the certificates", TakesFile: true, DefaultText: "troupe/certs among the user's settings"}
	days := func(n int) cli.Flag {
		return &cli.IntFlag{Name: "days", Value: n, Usage: "that a certificate is good for"}
	}
	force := &cli.BoolFlag{Name: "force", Usage: "replace files that are there"}
	return &cli.Command{
		Name: "cert", Usage: "make and show the certificates by which hosts know each other",
		Description: `Makes an authority (ca.pem, ca.key) if there is none, and a certificate for each
of the hosts (HOST.pem, HOST.key), which workers and those who use them show
each other. Without --hosts it is one, "node", for processes of this machine.
Give each host ca.pem and its own two files; ca.key signs whoever may join, and
stays.

troupe cert
troupe cert --out certs --hosts head.example,a.example,10.0.0.3
troupe cert add b --out certs --host b.example --host 10.0.0.4
troupe cert show --out certs`,
		Flags: []cli.Flag{out, days(credentials.NodeDays), force,
			&cli.StringFlag{Name: "hosts", Usage: "`LIST` of names and addresses, a certificate each", DefaultText: "one for this machine"}},
		Action: p.cert,
		Subcommands: []*cli.Command{{
			Name: "init", Usage: "make an authority alone",
			Description: `With --force it takes the place of the one that is there: what that has signed
is of no more use then.

troupe cert init --out certs --days 730`,
			Flags: []cli.Flag{out, days(credentials.AuthorityDays), force}, Action: p.certInit,
		}, {
			Name: "add", Usage: "make the certificate of one host", ArgsUsage: "NAME",
			Description: `NAME is that of its files. Each --host is a name or an address by which others
reach it; peers refuse a certificate that does not have the one they use. A
process that runs takes a certificate that replaces its own for new connections.

troupe cert add a --host a.example --host 10.0.0.3
troupe cert add a --host a.example --days 30 --force`,
			Flags: []cli.Flag{out, days(credentials.NodeDays), force,
				&cli.StringSliceFlag{Name: "host", Usage: "`HOST` of the certificate, a name or an address; again for more", DefaultText: "required"}},
			Action: p.certAdd,
		}, {
			Name: "show", Usage: "who has a certificate, until when, and what is wrong with it", ArgsUsage: "[NAME]",
			Description: `The exit code is 1 when one cannot be used: it has ended, its key is open to
others, it is of another authority.

troupe cert show
troupe cert show a --out certs --json`,
			Flags: []cli.Flag{out, jsonFlag("print a JSON array")}, Action: p.certShow,
		}},
	}
}

// certDir reads --out, which may stand behind any of the words of "cert show".
func certDir(c *cli.Context) (string, error) {
	for _, level := range c.Lineage() {
		if dir := level.String("out"); dir != "" {
			return dir, nil
		}
	}
	return defaultCertDir()
}

// defaultCertDir is where certificates are made and looked for.
func defaultCertDir() (string, error) {
	base := os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(base) {
		var err error
		if base, err = os.UserConfigDir(); err != nil {
			return "", fmt.Errorf("cert: no directory of the user's settings: %w: name one with --out", err)
		}
	}
	return filepath.Join(base, "troupe", "certs"), nil
}

// certDays reads --days of the command itself.
func certDays(c *cli.Context) (int, error) { return intWithin(c, "days", 36500) }

func (p *program) cert(c *cli.Context) error {
	dir, err := certDir(c)
	if err != nil {
		return err
	}
	days, err := certDays(c)
	if err != nil {
		return err
	}
	type wish struct {
		name  string
		hosts []string
	}
	wishes := []wish{{localName, localHosts()}}
	if c.IsSet("hosts") {
		wishes = nil
		for h := range strings.SplitSeq(c.String("hosts"), ",") {
			h = strings.TrimSpace(h)
			wishes = append(wishes, wish{credentials.NameOf(h), []string{h}})
		}
	}
	var names []string
	for _, w := range wishes { // all or none
		if err := errors.Join(credentials.CheckHosts(w.hosts), credentials.CheckName(w.name)); err != nil {
			return badFlag("hosts", apart(err)[0])
		}
		if slices.Contains(names, w.name) {
			return badFlag("hosts", fmt.Errorf("%s twice", w.name))
		}
		names = append(names, w.name)
		if err := credentials.Free(dir, w.name); err != nil && !c.Bool("force") {
			return err
		}
	}
	var made []credentials.Certificate
	if !credentials.HasAuthority(dir) {
		a, err := credentials.MakeAuthority(dir, max(days, credentials.AuthorityDays), false)
		if err != nil {
			return err
		}
		made = append(made, a)
	}
	for _, w := range wishes {
		n, err := credentials.Make(dir, w.name, w.hosts, days, c.Bool("force"))
		if err != nil {
			return errors.Join(err, p.printCertificates(made))
		}
		made = append(made, n)
	}
	if err := p.printCertificates(made); err != nil {
		return err
	}
	if !p.quiet {
		fmt.Fprintf(p.err, "In %s. Another host needs ca.pem and its own .pem and .key; ca.key stays here.\n", dir)
	}
	return nil
}

// localHosts are the names and addresses by which this machine reaches itself.
func localHosts() []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	if own, err := os.Hostname(); err == nil && !slices.Contains(hosts, own) && credentials.CheckHosts([]string{own}) == nil {
		hosts = append(hosts, own)
	}
	return hosts
}

func (p *program) certInit(c *cli.Context) error {
	dir, err := certDir(c)
	if err != nil {
		return err
	}
	days, err := certDays(c)
	if err != nil {
		return err
	}
	a, err := credentials.MakeAuthority(dir, days, c.Bool("force"))
	if err != nil {
		return err
	}
	return p.printCertificates([]credentials.Certificate{a})
}

func (p *program) certAdd(c *cli.Context) error {
	if c.NArg() != 1 {
		return usagef("%d arguments, want one NAME, as a", c.NArg())
	}
	dir, err := certDir(c)
	if err != nil {
		return err
	}
	days, err := certDays(c)
	if err != nil {
		return err
	}
	hosts := c.StringSlice("host")
	if len(hosts) == 0 {
		return usagef("--host: none: name what others reach it by, as a.example or 10.0.0.3")
	}
	if err := credentials.CheckHosts(hosts); err != nil {
		return badFlag("host", err)
	}
	if err := credentials.CheckName(c.Args().First()); err != nil {
		return &usageError{err: err}
	}
	n, err := credentials.Make(dir, c.Args().First(), hosts, days, c.Bool("force"))
	if err != nil {
		return err
	}
	return p.printCertificates([]credentials.Certificate{n})
}

func (p *program) certShow(c *cli.Context) error {
	if c.NArg() > 1 {
		return usagef("%d arguments, want one NAME or none", c.NArg())
	}
	dir, err := certDir(c)
	if err != nil {
		return err
	}
	list, err := credentials.List(dir)
	if err != nil {
		return err
	}
	if name := c.Args().First(); name != "" {
		list = slices.DeleteFunc(list, func(d credentials.Certificate) bool { return d.Name != name })
		if len(list) == 0 {
			return fmt.Errorf("cert: %s: no certificate %q: %w", dir, name, fs.ErrNotExist)
		}
	}
	if c.Bool("json") {
		err = p.printCertificatesJSON(list)
	} else {
		err = p.printCertificates(list)
	}
	bad := slices.IndexFunc(list, func(d credentials.Certificate) bool { return d.Problem != nil })
	if err == nil && bad >= 0 {
		return fmt.Errorf("cert: %s cannot be used", list[bad].File)
	}
	return err
}
