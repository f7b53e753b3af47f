package arrows

// module is the name of this repository's Go module.
const module = "troupe"

// folder is a row of the map: a folder with Go files and the folders that it may import.
type folder struct {
	path    string
	imports []string // "*" allows all
	plain   bool     // plain state machines or arithmetic: see plainReason
	cgo     bool     // files behind the build tag cgo may be in C; without it the folder compiles as well
}

// folders is the map. A folder that is decided on has its row before its first file (lab, plugins).
var folders = []folder{
	{path: "tensor"}, // the standard library alone, as in every row without imports
	{path: "kernels", imports: []string{"tensor"}},
	{path: "kernels/ref", imports: []string{"kernels", "tensor"}},
	{path: "kernels/cpu", imports: []string{"kernels", "kernels/ref", "tensor"}},
	{path: "kernels/kerneltest", imports: []string{"kernels", "kernels/ref", "tensor"}},
	{path: "model", imports: []string{"kernels", "tensor"}},
	{path: "model/demo"},
	{path: "ckpt", imports: []string{"tensor"}},
	{path: "ckpt/mirror", imports: []string{"ckpt"}},
	{path: "tokens"},
	{path: "router", plain: true},
	{path: "stages", imports: []string{"model", "kernels", "tensor", "router", "stages/sample"}, plain: true},
	{path: "stages/sample", plain: true},
	{path: "stages/kv", imports: []string{"stages"}, plain: true},
	{path: "stages/sched", imports: []string{"stages", "stages/kv", "stages/sample", "model", "kernels", "router"}, plain: true},
	{path: "stages/place", imports: []string{"stages", "model", "kernels", "tensor"}, plain: true},
	{path: "placement", imports: []string{"stages", "stages/place", "model"}},
	{path: "plugins", imports: []string{"kernels", "tensor", "plugins/internal/doorbell", "plugins/internal/lend", "plugins/internal/pb", "plugins/internal/processor", "plugins/internal/shm", "plugins/internal/wire"}},
	{path: "plugins/internal/doorbell"},
	{path: "plugins/internal/lend", imports: []string{"kernels", "tensor", "plugins/internal/doorbell", "plugins/internal/pb", "plugins/internal/processor", "plugins/internal/shm", "plugins/internal/wire"}},
	{path: "plugins/internal/pb"},
	{path: "plugins/internal/processor"},
	{path: "plugins/internal/shm"},
	{path: "plugins/internal/wire", imports: []string{"kernels", "plugins/internal/doorbell"}},
	{path: "plugins/cabi", imports: []string{"plugins", "kernels"}, cgo: true},
	{path: "plugins/cpu", imports: []string{"plugins", "kernels", "kernels/cpu"}},
	{path: "plugins/cuda", imports: []string{"plugins", "kernels", "plugins/cuda/device", "plugins/cuda/library"}},
	{path: "plugins/cuda/cuext", cgo: true},
	{path: "plugins/cuda/device", imports: []string{"plugins/cuda/cuext", "plugins/cuda/driver"}},
	{path: "plugins/cuda/driver", cgo: true},
	{path: "plugins/cuda/kernels", cgo: true},
	{path: "plugins/cuda/library", imports: []string{"kernels", "tensor", "plugins/cuda/cuext", "plugins/cuda/device", "plugins/cuda/kernels"}},
	{path: "plugins/reference", imports: []string{"plugins", "kernels", "kernels/ref"}},
	{path: "plugins/template", imports: []string{"plugins", "kernels", "tensor"}},
	{path: "surgery", imports: []string{"model", "router", "kernels", "tensor"}},
	{path: "actors/internal/link"},
	{path: "actors/internal/stream"},
	{path: "actors/internal/wire"},
	{path: "actors", imports: []string{"actors/internal/link", "actors/internal/stream", "actors/internal/wire", "stages", "stages/kv", "stages/place", "stages/sample", "stages/sched", "router", "model", "kernels", "tensor"}},
	{path: "credentials"},
	{path: "fleet", imports: []string{"actors", "router", "stages/sched"}},
	{path: "sim", imports: []string{"actors", "stages", "stages/place", "stages/sample", "stages/sched", "router", "model", "kernels"}},
	// bench looks at kernels/cpu for its probes alone: they are of the machine, not of a variant.
	{path: "bench", imports: []string{"actors", "stages", "stages/sample", "stages/sched", "router", "model", "kernels", "kernels/cpu", "tensor"}},
	{path: "lab/journal"},
	{path: "lab/sweep", imports: []string{"lab", "lab/journal", "lab/plot", "bench", "actors", "stages", "stages/sample", "stages/sched", "router", "model", "kernels"}},
	{path: "lab/plot"},
	{path: "lab/trace", imports: []string{"router"}},
	{path: "lab/observe", imports: []string{"actors", "stages", "stages/sched", "router", "model", "kernels"}},
	{path: "lab/saliency", imports: []string{"lab/observe", "router"}},
	{path: "lab/tune"},
	{path: "lab", imports: []string{"actors", "stages", "stages/sched", "router", "model", "kernels"}},
	{path: "lab/palette"},
	{path: "lab/look", imports: []string{"lab/trace", "router"}},
	{path: "lab/page", imports: []string{"lab/look", "lab/palette", "router"}},
	{path: "cli", imports: []string{"*"}},
	{path: "internal/control"},
	{path: "internal/golden", imports: []string{"internal/npy"}},
	{path: "internal/load", imports: []string{"ckpt", "ckpt/mirror", "stages", "model", "surgery", "kernels", "tensor"}},
	{path: "internal/npy"},
	{path: "internal/solo", imports: []string{"stages", "stages/sample", "router", "model", "kernels"}},
	{path: "internal/tokenlog"},
	{path: "internal/toy", imports: []string{"stages", "model", "kernels", "tensor"}},
	{path: "internal/arrows"},
	{path: "internal/tidy"},
}

// Test files may import whatever their folder may and, so that a test can compare a part with the whole model, any
// other folder but these: who needs an actor system, a plugin process or the command line tests it from there.
var notInTests = []string{"actors", "plugins", "lab", "cli"}

// plain folders import none of these and start no goroutine.
var notInPlain = []string{
	"context", "crypto/rand", "log", "log/slog", "math/rand", "math/rand/v2", "net", "os", "sync", "sync/atomic", "syscall", "time",
}

const plainReason = "no goroutine, clock, chance or I/O here: what this folder does is a function of what it is given, so that it can be replayed and tested without an engine"

// door is a library and the folders through which it enters.
type door struct {
	module string
	in     []string
	why    string
}

var doors = []door{
	{"github.com/asynkron/protoactor-go", []string{"actors", "actors/internal/link"}, "what carries messages is the matter of one folder, so that the rest runs in a plain loop"},
	{"gorgonia.org/cu", []string{"plugins/cuda/device"}, "the rest of the CUDA plugin speaks of copies and launches, and nothing else may need a GPU to start"},
	{"github.com/nlpodyssey/gopickle", []string{"ckpt"}, "pickles are hostile until checked, and that is done in one folder"},
	{"github.com/eliben/go-sentencepiece", []string{"tokens"}, "the rest speaks ids, so that a tokenizer can be replaced in one folder"},
	{"google.golang.org/protobuf", []string{"tokens", "plugins", "plugins/internal/pb", "actors", "actors/internal/link", "actors/internal/stream", "actors/internal/wire"}, "tokenizer.model is the one protobuf that is read; plugins and workers are spoken with in generated ones"},
	{"github.com/hashicorp/go-plugin", []string{"plugins", "plugins/internal/lend"}, lending},
	{"github.com/hashicorp/go-hclog", []string{"plugins", "plugins/internal/lend"}, lending},
	{"google.golang.org/grpc", []string{"plugins", "plugins/internal/lend", "plugins/internal/pb", "actors/internal/link"}, "plugins are processes and peers are hosts: each is spoken with in one folder"},
	{"golang.org/x/sys", []string{"tensor", "ckpt", "ckpt/mirror", "kernels/cpu", "internal/control", "plugins/internal/doorbell", "plugins/internal/lend", "plugins/internal/processor", "plugins/internal/shm"}, "system calls are for arenas, mapped files, plugins and the user behind a socket, CPU features for kernels; each has a portable twin beside it"},
	{"github.com/urfave/cli/v2", []string{"cli"}, terminal},
	{"github.com/chzyer/readline", []string{"cli"}, terminal},
	{"github.com/dustin/go-humanize", []string{"cli"}, terminal},
	{"github.com/goccy/go-yaml", []string{"cli", "placement"}, "settings and placement files are read once, at the beginning, and handed on as values"},
	{"github.com/jedib0t/go-pretty/v6", []string{"cli"}, terminal},
	{"github.com/lmittmann/tint", []string{"cli"}, terminal},
	{"github.com/vbauerster/mpb/v8", []string{"cli"}, terminal},
	{"gonum.org/v1/plot", []string{"lab/plot"}, "figures are asked for with numbers and words, so that who draws them can be replaced in one folder"},
	{"golang.org/x/term", []string{"cli"}, terminal},
	{"github.com/google/go-cmp", nil, testsOnly},
	{"go.uber.org/goleak", nil, testsOnly},
}

const (
	terminal  = "only cli speaks with a person; other parts hand it values, events and errors"
	lending   = "processes are started and spoken with in one folder: the rest has libraries"
	testsOnly = "it compares and watches in tests; the program does without it"
)

// reason says why an arrow that the folders do not allow is forbidden. The first that fits holds.
type reason struct {
	from, to string // a folder, a folder and all below it ("stages/..."), or "*"
	why      string
}

var reasons = []reason{
	{"*", "cli", "cli is package main: it begins, and nothing rests on it"},
	{"*", "internal/arrows", house},
	{"*", "internal/tidy", house},
	{"*", "internal/toy", "toy models are for tests"},
	{"*", "internal/solo", "the plain loop is a yardstick for tests: what people run goes through the actors"},
	{"*", "internal/golden", "recorded outputs are for tests"},
	{"*", "internal/npy", "arrays in files are read by tests and written by cli"},
	{"*", "internal/control", "a socket is for steering the program: parts are steered by calls"},
	{"*", "internal/tokenlog", "what a run keeps is written and read by the program that people run"},
	{"*", "internal/load", "who opens a model directory is cli or a test; the parts are handed what is in it"},
	{"*", "kernels/kerneltest", "a judge is for tests and for cli's own test command: who is judged does not know it"},
	{"*", "model/demo", "only cli decides to carry 13 MB of weights"},
	{"internal/...", "*", house},
	{"model/demo", "*", "model/demo hands out bytes; ckpt and tokens read them"},
	{"actors/internal/...", "*", "between hosts numbers and names travel: what they mean is the actors' matter"},
	{"*", "credentials", "certificates are read by cli: who speaks with other hosts is handed settings of TLS"},
	{"credentials", "*", "certificates are files: who shows them to whom is not their matter"},
	{"sim", "*", "a simulation has the engine and its workers as they are: it puts a world under them, and nothing beside them"},
	{"*", "sim", "nothing knows whether its world is simulated"},
	{"bench", "*", "a measurement is handed an engine that is ready to start: how it is arranged is what it compares"},
	{"*", "fleet", "replicas are started by cli: an engine does not know whether there are others"},
	{"fleet", "*", "a fleet deals requests to engines that are ready to start: how they are arranged is not its matter"},
	{"*", "placement", "a file is read by cli: the parts are handed the plan that it gives"},
	{"placement", "*", "a placement file names layers, experts and devices: what computes there is not its matter"},
	{"*", "bench", "a measurement looks at the engine, never the other way round"},
	{"*", "surgery", "a model is rearranged before it is handed to the parts: they know the experts that it has"},
	{"surgery", "*", "an overlay speaks of experts and their matrices: where these lie is the loader's matter, how they run the engine's"},
	{"*", "lab/...", "experiments look at the engine, never the other way round"},
	{"*", "plugins/...", "cli hands an opened library on, so that no part knows whether a kernel is built in or lent"},
	{"*", "actors", "stages arrange, actors carry: whatever is below runs and is tested without an actor system"},
	{"tokens", "*", "text and ids need to know nothing of a model"},
	{"*", "tokens", "the engine speaks ids; text is the concern of cli and lab"},
	{"router", "*", "the choice of experts is arithmetic on slices: it is tested, and read, without tensors or devices"},
	{"stages/sample", "*", "a draw is a pure function of seed, position, settings and logits: slices in, an id out"},
	{"*", "ckpt", "who computes is handed tensors, so that formats come and go without it"},
	{"*", "ckpt/mirror", "where a process gets its files from is the matter of cli: who computes is handed what is in them"},
	{"ckpt/mirror", "*", "a copy knows files, names of tensors and bytes: which of them a process needs it is told"},
	{"ckpt", "*", "a reader knows names, shapes and bytes; what they mean is compared by cli, which has both the file and the model"},
	{"tensor", "*", "tensor is the vocabulary that the others share: it knows none of them"},
	{"*", "kernels/ref", variant},
	{"*", "kernels/cpu", variant},
	{"kernels/...", "*", "a kernel serves any family, stage and policy: it is given calls and shapes"},
	{"model", "*", "a family is a list of calls by name: who arranges them and who chooses experts is not its matter"},
	{"plugins/...", "*", "a plugin lends kernels: it is given calls and shapes, as a built-in library is"},
	{"stages", "stages/...", "the stage is what the schedule, the cache's blocks and the placement are about: they know it, it does not know them"},
	{"stages/...", "*", "schedule, cache blocks and placement are integers: one that needs another part of the engine is more than that"},
	{"lab/trace", "*", "a file of routing is read without the engine that made it"},
	{"lab/palette", "*", "colours are numbers: who uses them is not their matter"},
	{"lab/look", "*", "what is counted of routing is a function of it: the engine that made it, and how it is shown, are other folders' matter"},
	{"lab/page", "*", "a page is made of words and figures: where they come from is its caller's matter"},
	{"lab/...", "*", "experiments go through the engine's own door, so that they measure what people run"},
}

const (
	house   = "a test of the house or a helper of tests stands apart from the product"
	variant = "kernels are chosen by a binding, at run time: a part that names a variant could not have it swapped"
)
