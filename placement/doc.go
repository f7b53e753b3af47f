// Package placement reads and writes placement files: YAML that says on which device each span of layers and each
// expert of a model lives.
//
//	devices:
//	  - {name: first, kind: cpu, threads: 2}
//	  - {name: second, kind: cpu, threads: 2, threads_prefill: 4, memory: 80GB}
//	stages:
//	  - {layers: 0-3, device: first}
//	  - {layers: 4-5, device: second}
//	experts:
//	  default: local
//	  rules:
//	    - {layers: 0-1, experts: "6,7", device: second}
//
// Devices of other machines stand in hosts, and replicas says that there are several copies of the pipeline. [Parse] checks what can be said without a model, [File.Place] and [File.Replicas] turn a file into plans ([place.Plan]) for one, [Write] is the
// way back. A file is strict: what is unknown, stands twice, or would change nothing is an error that names its line.
// Where experts and layers are computed never changes a result (N3).
package placement
