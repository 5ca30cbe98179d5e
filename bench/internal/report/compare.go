package report

import (
	"fmt"
	"io"

	"github.com/protoo-go/protoo/bench/internal/result"
)

// Changes writes how a session compares with an earlier one. A change is marked when it is past the threshold; gated says which
// metrics count as regressions. It returns how many there are.
func Changes(w io.Writer, changes []result.Change, threshold float64, gated func(metric string) bool) (regressions int, err error) {
	t := table{Head: []string{"scenario", "target", "metric", "new/old", "from", "to", ""}}
	for _, c := range changes {
		verdict := ""
		better := c
		better.Metric.More = !c.Metric.More
		switch {
		case c.Worse(threshold) && gated(c.Metric.Name):
			verdict = "REGRESSION"
			regressions++
		case c.Worse(threshold):
			verdict = "worse"
		case better.Worse(threshold):
			verdict = "better"
		}
		t.Rows = append(t.Rows, []string{c.Series.Group + ": " + c.Series.Scenario, c.Series.Target, c.Metric.Name,
			fmt.Sprintf("%.3f", c.Ratio.Value), fmt.Sprintf("%.3f", c.Ratio.Low), fmt.Sprintf("%.3f", c.Ratio.High), verdict})
	}
	return regressions, writeTable(w, t)
}
