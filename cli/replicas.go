package main

import (
	"slices"

	"github.com/urfave/cli/v2"

	"troupe/actors"
)

// replicas is the number of engines that are started.
func (l *launch) replicas() int { return 1 + len(l.placement.others) }

// checkReplicas refuses several engines where one is measured, looked at, or steered.
func (l *launch) checkReplicas(c *cli.Context) error {
	n := l.replicas()
	if n == 1 {
		return nil
	}
	if name := c.Command.Name; !slices.Contains([]string{"run", "eval"}, name) {
		return usagef("%d replicas: %s works with one engine; run and eval work with several", n, name)
	}
	for _, flag := range []string{"trace", "swap", "control", "chaos", "spares"} {
		if c.IsSet(flag) {
			return usagef("--%s and %d replicas: it is about one engine: want one replica", flag, n)
		}
	}
	owner := map[string]int{}
	for i, plan := range l.placement.plans() {
		for _, d := range plan.Devices {
			if other, taken := owner[d.Host]; taken && d.Host != "" && other != i {
				return usagef("worker %s has devices of replica %d and of replica %d: it serves one engine at a time: deal whole workers out", d.Host, other, i)
			}
			owner[d.Host] = i
		}
	}
	return nil
}

// replicaOptions are what the engine of each replica is started with: all have the same weights.
func (p *program) replicaOptions(l launch, m *opened, turns actors.Trace, w *kernelWatch) (list []actors.Options) {
	for _, plan := range l.placement.plans() {
		l.placement.Plan = plan
		l.limits.Stages = len(plan.Stages)
		list = append(list, p.engineOptions(l, m, turns, nil, w))
	}
	return list
}
