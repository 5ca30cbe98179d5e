package report

import (
	_ "embed"
	"html/template"
	"io"
	"maps"
	"slices"

	"github.com/protoo-go/protoo/bench/internal/result"
)

//go:embed report.html
var pageSource string

var page = template.Must(template.New("report").Parse(pageSource))

// HTML writes a report as a page that needs nothing else.
func HTML(w io.Writer, r *result.Report) error {
	drawn, err := drawings(r)
	if err != nil {
		return err
	}
	type version struct{ Name, Version string }
	var versions []version
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		versions = append(versions, version{name, r.Versions[name]})
	}
	return page.Execute(w, map[string]any{
		"Preface":  preface(r),
		"Settings": r.Machine.Settings,
		"Targets":  r.Targets,
		"Charts":   drawn,
		"Tables":   tables(r),
		"Versions": versions,
	})
}
