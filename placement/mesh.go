package placement

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"

	"troupe/stages/place"
)

// readLocalMesh reads local_mesh_config, [data, model]: along the reference's model axis matrices are cut over devices,
// along its data axis the batch is. Here the model axis is the number of devices of a host that layers are cut over, and the
// data axis as many times the sequences that run together, all in one company: on one host that reads the weights once.
func (f *File) readLocalMesh(m *mapping, n ast.Node) error {
	pair, err := readPair(m, "local_mesh_config", n, maxDevices)
	if err != nil {
		return err
	}
	f.Mesh = &Mesh{Data: pair[0], Model: pair[1], Line: m.lineOf("local_mesh_config")}
	return nil
}

// readBetweenHosts reads between_hosts_config, [data, model]: data replicas, each a pipeline over as many hosts as model.
func (f *File) readBetweenHosts(m *mapping, n ast.Node) error {
	pair, err := readPair(m, "between_hosts_config", n, maxDevices)
	if err != nil {
		return err
	}
	f.Between = &Mesh{Data: pair[0], Model: pair[1], Line: m.lineOf("between_hosts_config")}
	return nil
}

// checkBetween compares between_hosts_config with the hosts of the devices, this one among them, and has its data axis
// deal the devices over replicas.
func (f *File) checkBetween() error {
	b := f.Between
	if b == nil {
		return nil
	}
	hosts := map[string]bool{}
	for _, d := range f.Devices {
		hosts[d.Host] = true
	}
	is := "is 1"
	if len(hosts) > 1 {
		is = fmt.Sprintf("are %d", len(hosts))
	}
	if b.Data*b.Model != len(hosts) {
		return at(b.Line, "between_hosts_config: [%d, %d] is for %d hosts, and there %s: want two numbers whose product that is, or other hosts", b.Data, b.Model, b.Data*b.Model, is)
	}
	if said := max(f.deal, len(f.replicas)); said > 0 && said != b.Data {
		return at(b.Line, "between_hosts_config: data %d, but there are %d replicas: want the same", b.Data, said)
	}
	if len(f.replicas) == 0 && f.deal == 0 && b.Data > 1 {
		f.deal, f.dealLine = b.Data, b.Line
	}
	return nil
}

// pipeline is the number of devices of a replica that have layers: the model axes of both meshes.
func (f *File) pipeline() int {
	if f.Between != nil {
		return f.Mesh.Model * f.Between.Model
	}
	return f.Mesh.Model
}

// readPair reads [data, model], each 1 to most.
func readPair(m *mapping, key string, n ast.Node, most int) (pair [2]int, err error) {
	list, ok := n.(*ast.SequenceNode)
	if !ok || len(list.Values) != 2 {
		return pair, at(m.lineOf(key), "%s: want [data, model], as [1, 2]", key)
	}
	for i, v := range list.Values {
		axis := &mapping{where: key, line: m.lineOf(key), values: map[string]ast.Node{"size": v}}
		if pair[i], err = axis.number("size", 1, most); err != nil {
			return pair, err
		}
	}
	return pair, nil
}

// addDevices adds the devices of a mesh that stand nowhere else.
func (f *File) addDevices() {
	for i := range f.Mesh.Model {
		f.Devices = append(f.Devices, Device{Device: place.Device{Name: "cpu", Label: fmt.Sprintf("cpu%d", i)}, Line: f.Mesh.Line})
	}
}

// checkMesh compares the model axis with the devices that have layers.
func (f *File) checkMesh(stages []place.Stage) error {
	if f.Mesh == nil {
		return nil
	}
	with := map[int]bool{}
	for _, s := range stages {
		with[s.Device] = true
	}
	switch n := f.pipeline(); {
	case len(with) == n:
	case n != f.Mesh.Model:
		return at(f.Mesh.Line, "local_mesh_config: model %d on %d hosts, but %d devices have layers: want %d, or other stages", f.Mesh.Model, f.Between.Model, len(with), n)
	default:
		return at(f.Mesh.Line, "local_mesh_config: model %d, but %d devices have layers: want [%d, %d], or other stages", f.Mesh.Model, len(with), f.Mesh.Data, len(with))
	}
	return nil
}

// Sequences is how many times as many sequences run together as without a data axis.
func (f *File) Sequences() int {
	if f.Mesh == nil {
		return 1
	}
	return f.Mesh.Data
}

// Notes explain what meshes and replicas have become.
func (f *File) Notes() (n []string) {
	if f.Mesh != nil {
		n = append(n, fmt.Sprintf("local_mesh_config [%d, %d]: the model axis is a pipeline of %d devices that the layers are cut over; matrices stay whole", f.Mesh.Data, f.Mesh.Model, f.Mesh.Model))
		if f.Mesh.Data > 1 {
			n = append(n, fmt.Sprintf("local_mesh_config [%d, %d]: the data axis is %d times as many sequences at a time, unless --max-batch says how many; they share one copy of the weights",
				f.Mesh.Data, f.Mesh.Model, f.Mesh.Data))
		}
	}
	if b := f.Between; b != nil && b.Data*b.Model > 1 {
		n = append(n, fmt.Sprintf("between_hosts_config [%d, %d]: the data axis is the number of replicas, the model axis that of the hosts which the pipeline of each goes over", b.Data, b.Model))
	}
	if f.Count() > 1 {
		n = append(n, fmt.Sprintf("%d replicas: pipelines with devices of their own; those of one process share its weights; a request goes to the one with the least to do", f.Count()))
	}
	return n
}
