package plugins

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	"troupe/kernels"
	"troupe/plugins/internal/pb"
	"troupe/plugins/internal/wire"
)

// Description is what a plugin says of itself, checked.
type Description struct {
	Name, Version string
	Protocol      int
	Variants      []VariantInfo
}

// VariantInfo describes one variant of a plugin.
type VariantInfo struct {
	kernels.Info        // Ops and Promise only where it opens; Name is the plugin's own for it
	Score        int    // 0: cannot run on this machine
	Needs        string // what it needs, then
	Panels       bool
	Error        string // why it does not open here, "" when it does or has no score
}

// Describe starts a plugin, asks it what it has, and ends it.
func Describe(ctx context.Context, c Config) (Description, error) {
	p, err := start(ctx, c)
	if err != nil {
		return Description{}, err
	}
	defer p.end()
	ctx, cancel := context.WithTimeout(ctx, p.config.Start)
	defer cancel()
	d, err := p.control.Describe(ctx, &pb.Empty{}, grpc.MaxCallRecvMsgSize(maxAnswer))
	if err != nil {
		return Description{}, fmt.Errorf("plugins: %s: describe: %w", c.Path, p.because(err))
	}
	checked, err := checkDescription(d)
	if err != nil {
		return Description{}, fmt.Errorf("plugins: %s: %w", c.Path, err)
	}
	return checked, nil
}

// because is the error of a control call, or how the process ended meanwhile.
func (p *process) because(err error) error {
	if p.dies(err) {
		return fmt.Errorf("the plugin ended: %s", p.epitaph())
	}
	return controlError(err)
}

// Prefix begins the names of variants that plugins lend.
const Prefix = "plugin:"

// LentName is the name of a plugin's variant in the engine: plugin:NAME/VARIANT, or plugin:NAME when both names are
// the same.
func LentName(plugin, variant string) string {
	rest := variant
	if len(variant) > len(plugin) && variant[:len(plugin)] == plugin && variant[len(plugin)] == '/' {
		rest = variant[len(plugin)+1:]
	}
	if rest == plugin {
		return Prefix + plugin
	}
	return Prefix + plugin + "/" + rest
}

// Variants asks a plugin what it has and gives it as variants for kernels.Lend. Opening one starts a process.
func Variants(ctx context.Context, c Config) ([]kernels.Variant, error) {
	d, err := Describe(ctx, c)
	if err != nil {
		return nil, err
	}
	return d.Lent(c), nil
}

// Lent makes variants for kernels.Lend of what a plugin has said.
func (d Description) Lent(c Config) []kernels.Variant {
	var all []kernels.Variant
	for _, v := range d.Variants {
		lent := LentName(d.Name, v.Name)
		all = append(all, kernels.Variant{
			Name: lent, Doc: v.Doc, Needs: v.Needs, Panels: v.Panels,
			Score: func() int { return v.Score },
			Open:  func(t kernels.Threads) (kernels.Library, error) { return open(c, lent, v.Name, t) },
		})
	}
	return all
}

func checkDescription(d *pb.Description) (Description, error) {
	out := Description{Name: d.GetName(), Version: text(d.GetVersion()), Protocol: wire.Version}
	if err := checkName("plugin", out.Name, ""); err != nil {
		return out, err
	}
	if n := len(d.GetVariants()); n == 0 || n > maxVariants {
		return out, fmt.Errorf("%s has %d variants, want 1 to %d", out.Name, n, maxVariants)
	}
	seen := map[string]bool{}
	for _, v := range d.Variants {
		name := LentName(out.Name, v.GetName())
		if err := checkName("variant", v.GetName(), "/"); err != nil {
			return out, err
		}
		if seen[name] {
			return out, fmt.Errorf("%s has two variants %q", out.Name, v.Name)
		}
		seen[name] = true
		info := VariantInfo{Score: int(v.Score), Needs: text(v.Needs), Panels: v.Panels, Error: text(v.Error)}
		if v.Score < 0 || v.Score > maxScore {
			return out, fmt.Errorf("variant %s has score %d, want 0 to %d", v.Name, v.Score, maxScore)
		}
		if v.Info != nil {
			var err error
			if info.Info, err = checkInfo(v.Info); err != nil {
				return out, fmt.Errorf("variant %s: %w", v.Name, err)
			}
		}
		info.Name, info.Doc = v.Name, text(v.Doc)
		out.Variants = append(out.Variants, info)
	}
	return out, nil
}
