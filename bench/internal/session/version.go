package session

import (
	"context"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
)

// versions lists protoo's own, and those of the modules that are part of what is measured.
func versions(ctx context.Context) map[string]string {
	list := make(map[string]string)
	if v := commit(ctx); v != "" {
		list["protoo"] = v
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return list
	}
	for _, module := range info.Deps {
		list[module.Path] = module.Version
	}
	return list
}

// commit asks git what this program was built from, because "go run" does not write it into the program. It returns "" where there is no
// git, or the sources are not a checkout.
func commit(ctx context.Context) string {
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		return "" // built with -trimpath
	}
	out, err := exec.CommandContext(ctx, "git", "-C", filepath.Dir(file), "describe", "--always", "--tags", "--dirty", "--abbrev=12").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
