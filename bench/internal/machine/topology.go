package machine

import (
	"fmt"
	"slices"
)

// Halves divides the processors that this process may use into two halves that share no core, if there are two cores. There may
// be nothing in the second.
func Halves() (first, second []int) {
	return halves(Allowed(), func(cpu int) string {
		return firstLine(fmt.Sprintf("/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu))
	})
}

// halves divides by cores, of which core names one: processors with the same name are threads of one core.
func halves(cpus []int, core func(int) string) (first, second []int) {
	cores := make(map[string][]int)
	var names []string
	for _, cpu := range cpus {
		name := core(cpu)
		if name == "" {
			name = fmt.Sprint(cpu)
		}
		if cores[name] == nil {
			names = append(names, name)
		}
		cores[name] = append(cores[name], cpu)
	}
	if len(names) == 1 {
		return slices.Clone(cpus[:(len(cpus)+1)/2]), slices.Clone(cpus[(len(cpus)+1)/2:])
	}
	for i, name := range names {
		if i < (len(names)+1)/2 {
			first = append(first, cores[name]...)
		} else {
			second = append(second, cores[name]...)
		}
	}
	return first, second
}
