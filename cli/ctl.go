package main

import (
	"encoding/json"
	"fmt"

	"github.com/urfave/cli/v2"

	"troupe/internal/control"
)

func controlFlag(usage string) cli.Flag {
	return &cli.StringFlag{Name: "control", Usage: "`ADDRESS` " + usage + ", unix:PATH", TakesFile: true}
}

func (p *program) ctlCommand() *cli.Command {
	engine := controlFlag("of the engine, as its --control has it")
	asJSON := jsonFlag("print the engine's replies as JSON, one a line")
	return &cli.Command{
		Name: "ctl", Usage: "steer a running engine",
		Description: `Talks to an engine that "troupe run --control unix:PATH" has started. Only the
same user may. TROUPE_CONTROL=unix:PATH spares the flag.

troupe ctl --control unix:/tmp/troupe.sock kernels status
troupe ctl --control unix:/tmp/troupe.sock stats
troupe ctl --control unix:/tmp/troupe.sock experts`,
		Flags: []cli.Flag{engine},
		Subcommands: []*cli.Command{{
			Name: "kernels", Usage: "libraries, and what computes what", Flags: []cli.Flag{engine},
			Subcommands: []*cli.Command{{
				Name: "list", Usage: "libraries that the engine can be bound to",
				Flags: []cli.Flag{engine, asJSON}, Action: p.ctlList,
			}, {
				Name: "swap", Usage: "change what computes what, while requests run", ArgsUsage: "BINDING",
				Description: `The entries of BINDING are put over those in force. The new libraries are opened
and compiled for beside the old ones; then some batches are computed by both and
compared; if nothing differs, the new ones serve. Else nothing has changed: the
exit code is 1, and the reason is said. Ctrl-C takes a swap back that is not in
force yet.

troupe ctl kernels swap expert=plugin:mine --shadow 16
troupe ctl kernels swap attend@0-3=cpu/generic`,
				Flags: []cli.Flag{engine, asJSON,
					&cli.IntFlag{Name: "shadow", Usage: "batches that are computed in part by both and compared, a fourth of the layers each; 0 for none", DefaultText: "4"}},
				Action: p.ctlSwap,
			}, {
				Name: "rollback", Usage: "back to what was before the last swap",
				Flags: []cli.Flag{engine, asJSON,
					&cli.StringFlag{Name: "reason", Usage: "`WHY` it is done, for the record", DefaultText: "none"}},
				Action: p.ctlRollback,
			}, {
				Name: "status", Usage: "binding, swap under way, what libraries have done",
				Flags: []cli.Flag{engine, asJSON}, Action: p.ctlStatus,
			}},
		}, {
			Name: "status", Usage: "the company: workers, devices, stages, what is on its way",
			Description: `Says which worker is there and which is lost, what each device has, how many
batches are in each stage and for how long, and what is missing, if anything is.

troupe ctl status
troupe ctl status --json`,
			Flags: []cli.Flag{engine, asJSON}, Action: p.ctlCompany,
		}, {
			Name: "move", Usage: "put a stage or an expert on another device, while requests run", ArgsUsage: "PART to=DEVICE",
			Description: `PART is stage=N or expert=LAYER.EXPERT, DEVICE local/N or a worker's
HOST:PORT/N; without /N it is the first. It is opened there first; then it takes
its place, and what was lost by that is computed again. A stage takes experts of
its layers with it that live where it lives.

troupe ctl move stage=2 to=b:7000
troupe ctl move expert=3.5 to=local/0`,
			Flags: []cli.Flag{engine, asJSON}, Action: p.ctlMove,
		}, {
			Name: "stats", Usage: "tokens, batches, cache, stages and devices",
			Flags: []cli.Flag{engine, asJSON}, Action: p.ctlStats,
		}, {
			Name: "experts", Usage: "which experts tokens have used",
			Description: `Counts the tokens of all requests, those of prompts too, layer by layer: what
part of them used an expert, how many they used, how sure the router was.

troupe ctl experts
troupe ctl experts --reset`,
			Flags: []cli.Flag{engine, asJSON,
				&cli.BoolFlag{Name: "reset", Usage: "begin anew: later figures are of what comes from here on"}},
			Action: p.ctlExperts,
		}},
	}
}

// readControl reads --control, a path; "" is none.
func readControl(c *cli.Context) (path string, err error) {
	address := ""
	for _, level := range c.Lineage() { // it may stand behind any of the words of "ctl kernels status"
		if address = level.String("control"); address != "" {
			break
		}
	}
	if address == "" {
		return "", nil
	}
	if path, err = control.Parse(address); err != nil {
		return "", badFlag("control", err)
	}
	return path, nil
}

// ask sends a request to the engine of --control. Events are shown as they come.
func (p *program) ask(c *cli.Context, r control.Request, result any) error {
	path, err := readControl(c)
	if err == nil && path == "" {
		err = usagef("--control: no address: want that of a running engine, as unix:/tmp/troupe.sock")
	}
	if err != nil {
		return err
	}
	asJSON := c.Bool("json")
	raw, err := control.Call(c.Context, path, r, func(raw json.RawMessage) error {
		if asJSON {
			_, err := fmt.Fprintf(p.out, "%s\n", raw)
			return err
		}
		var e kernelEvent
		if err := json.Unmarshal(raw, &e); err != nil {
			return fmt.Errorf("control: event: %w", err)
		}
		_, err := fmt.Fprintln(p.out, e.words())
		return err
	})
	if err != nil {
		return err
	}
	if asJSON {
		_, err := fmt.Fprintf(p.out, "%s\n", raw)
		return err
	}
	if err := json.Unmarshal(raw, result); err != nil {
		return fmt.Errorf("control: result: %w", err)
	}
	return nil
}

func (p *program) ctlList(c *cli.Context) error {
	var list []libraryReport
	err := p.ask(c, control.Request{Do: "list"}, &list)
	if err != nil || c.Bool("json") {
		return err
	}
	return p.printLibraries(list, p.out)
}

func (p *program) ctlSwap(c *cli.Context) error {
	if c.NArg() != 1 {
		return usagef("%d arguments, want one BINDING, as expert=plugin:mine", c.NArg())
	}
	r := control.Request{Do: "swap", Binding: c.Args().First()}
	if c.IsSet("shadow") {
		n := c.Int("shadow")
		if n < 0 || n > maxShadow {
			return badFlag("shadow", fmt.Errorf("%d, want 0 (none) to %d", n, maxShadow))
		}
		r.Shadow = &n
	}
	var s kernelStatus
	return p.ask(c, r, &s)
}

func (p *program) ctlRollback(c *cli.Context) error {
	var s kernelStatus
	return p.ask(c, control.Request{Do: "rollback", Reason: c.String("reason")}, &s)
}

func (p *program) ctlStatus(c *cli.Context) error {
	var s kernelStatus
	err := p.ask(c, control.Request{Do: "status"}, &s)
	if err != nil || c.Bool("json") {
		return err
	}
	return s.print(p, p.out)
}

func (p *program) ctlStats(c *cli.Context) error {
	var s engineStats
	err := p.ask(c, control.Request{Do: "stats"}, &s)
	if err != nil || c.Bool("json") {
		return err
	}
	return s.print(p.out)
}

func (p *program) ctlExperts(c *cli.Context) error {
	var r routingReport
	err := p.ask(c, control.Request{Do: "experts", Reset: c.Bool("reset")}, &r)
	if err != nil || c.Bool("json") {
		return err
	}
	return p.printRouting(r, p.out)
}

// serveControl lets troupe ctl steer an engine, if a path is given, until end.
func (p *program) serveControl(path string, s *steering) (end func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	server, err := control.Serve(path, p.logs.part("cli"), s.handle)
	if err != nil {
		return nil, err
	}
	p.notice("listening at unix:%s", path)
	return server.Close, nil
}
