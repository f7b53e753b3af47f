package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"

	"github.com/urfave/cli/v2"

	"troupe/credentials"
)

// linkFlags say how this process is known to others, and whom it knows.
func linkFlags(category string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "cert", Category: category, TakesFile: true, DefaultText: "troupe/certs among the user's settings",
			Usage: "`DIR` or DIR/NAME of the certificate that is shown to other hosts (troupe cert)"},
		&cli.BoolFlag{Name: "insecure", Category: category, Usage: "no certificates, plain text: between processes of this machine alone"},
	}
}

// linkSettings are what a link needs besides addresses.
type linkSettings struct {
	server, client *tls.Config           // nil: plain text
	identity       *credentials.Identity // nil: plain text
}

// readLink reads --cert and --insecure.
func (p *program) readLink(c *cli.Context) (linkSettings, error) {
	path := c.String("cert")
	if c.Bool("insecure") {
		if c.IsSet("cert") {
			return linkSettings{}, usagef("--insecure and --cert: give one of them")
		}
		return linkSettings{}, nil
	}
	if path == "" {
		var err error
		if path, err = defaultCertDir(); err != nil {
			return linkSettings{}, err
		}
	}
	log := p.logs.part("cli")
	dir, name := credentials.Split(path)
	id, err := credentials.Load(dir, name, func(now credentials.Certificate, err error) {
		if err != nil {
			log.Warn("the certificate has changed and cannot be used: the one before serves on", slog.Any("error", err))
			return
		}
		log.Info("the certificate has changed", slog.String("file", now.File), slog.Time("until", now.Until))
	})
	if err != nil {
		return linkSettings{}, fmt.Errorf("%w (--insecure does without, between processes of this machine)", err)
	}
	if id.Soon() {
		log.Warn("the certificate ends soon: make a new one with troupe cert add --force", slog.String("file", id.File), slog.Time("until", id.Until))
	}
	return linkSettings{id.Server, id.Client, id}, nil
}

// checkOwn says whether others will find this process at HOST:PORT under its certificate. The flag is blamed.
func (s linkSettings) checkOwn(flag, address string) error {
	if s.identity == nil {
		return s.checkPeer(flag, address)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return badFlag(flag, fmt.Errorf("%.300q, want HOST:PORT, as 10.0.0.3:7000", address))
	}
	if err := s.identity.Covers(host); err != nil {
		return badFlag(flag, err)
	}
	return nil
}

// checkPeer says whether a peer at HOST:PORT may be spoken with: in plain text only on this machine.
func (s linkSettings) checkPeer(flag, address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return badFlag(flag, fmt.Errorf("%.300q, want HOST:PORT, as 10.0.0.3:7000", address))
	}
	if ip := net.ParseIP(host); s.identity == nil && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return badFlag(flag, fmt.Errorf("%s with --insecure: plain text is for 127.0.0.1, ::1 and localhost alone: make certificates with troupe cert", address))
	}
	return nil
}

// checkDataListen says whether batches may come in at HOST:PORT. All addresses at once are fine with certificates: runs
// then use the one that is advertised, or the host by which the worker is known.
func (s linkSettings) checkDataListen(address string, advertised bool) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return badFlag("data-listen", fmt.Errorf("%.300q, want HOST:PORT, as 10.0.0.3:7001", address))
	}
	if ip := net.ParseIP(host); s.identity != nil && (advertised || host == "" || ip != nil && ip.IsUnspecified()) {
		return nil
	}
	return s.checkOwn("data-listen", address)
}
