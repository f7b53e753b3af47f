package placement

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"

	"troupe/stages/place"
)

// readLocalMesh reads local_mesh_config, [data, model]: along the reference's model axis matrices are cut over devices,
// along its data axis the batch is. Here the model axis is the number of devices that layers are cut over, and the data
// axis as many times the sequences that run together, all in one company: there are no replicas yet.
func (f *File) readLocalMesh(m *mapping, n ast.Node) error {
	pair, err := readPair(m, "local_mesh_config", n, maxDevices)
	if err != nil {
		return err
	}
	f.Mesh = &Mesh{Data: pair[0], Model: pair[1], Line: m.lineOf("local_mesh_config")}
	return nil
}

// readBetweenHosts reads between_hosts_config, which is [1, 1] on one host.
func (f *File) readBetweenHosts(m *mapping, n ast.Node) error {
	pair, err := readPair(m, "between_hosts_config", n, maxNumber)
	if err != nil {
		return err
	}
	if pair != [2]int{1, 1} {
		return at(m.lineOf("between_hosts_config"), "between_hosts_config: [%d, %d] is for %d hosts, and several hosts are not supported yet: want [1, 1]",
			pair[0], pair[1], pair[0]*pair[1])
	}
	return nil
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
	if len(with) != f.Mesh.Model {
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

// Notes explain what the mesh has become.
func (f *File) Notes() []string {
	if f.Mesh == nil {
		return nil
	}
	n := []string{fmt.Sprintf("local_mesh_config [%d, %d]: the model axis is a pipeline of %d devices that the layers are cut over; matrices stay whole", f.Mesh.Data, f.Mesh.Model, f.Mesh.Model)}
	if f.Mesh.Data > 1 {
		n = append(n, fmt.Sprintf("local_mesh_config [%d, %d]: the data axis is %d times as many sequences at a time, unless --max-batch says how many; they share one copy of the weights",
			f.Mesh.Data, f.Mesh.Model, f.Mesh.Data))
	}
	return n
}
