package scaffold

import (
	"errors"
	"fmt"
	"path/filepath"
)

func buildGo(p *project) error {
	program, err := tool("install Go 1.26 or later from https://go.dev/dl", "go")
	if err != nil {
		return err
	}
	return p.run([]string{"GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off"},
		program, "build", "-trimpath", "-ldflags=-s -w", "-buildmode=c-shared", "-o", p.out, ".")
}

const installClang = "on Debian and Ubuntu, apt-get install clang-19 lld-19, or clang and lld"

// buildC compiles with the newest clang and links with the linker of the same release, which others may not go with.
func buildC(p *project) error {
	if len(p.sources) != 1 {
		return errors.New("a module in C has one file, which can include others that are named .h")
	}
	for _, release := range []string{"", "-21", "-20", "-19", "-18", "-17", "-16", "-15", "-14"} {
		clang, err := tool(installClang, "clang"+release)
		if err != nil {
			continue
		}
		linker, err := tool(installClang, "wasm-ld"+release)
		if err != nil {
			continue
		}
		args := []string{
			"--target=wasm32", "-std=c11", "-O2", "-mbulk-memory", "-Wall", "-Wextra", "-nostdlib", "-fuse-ld=" + linker,
			"-Wl,--no-entry,--stack-first,-zstack-size=8192,--strip-all,--keep-section=protoo.manifest", "-o", p.out,
		}
		return p.run(nil, clang, append(args, p.inDir()...)...)
	}
	return errors.New("there is no clang with its wasm-ld here: " + installClang)
}

const installRust = "on Debian and Ubuntu, apt-get install rustc libstd-rust-dev-wasm32 lld, elsewhere rustup target add wasm32-unknown-unknown"

func buildRust(p *project) error {
	// Debian's compiler first: it comes with the target, and a toolchain beside it may not have that.
	rustc, err := tool(installRust, "/usr/bin/rustc", "rustc")
	if err != nil {
		return err
	}
	if len(p.sources) != 1 {
		return errors.New("a module in Rust has one file beside the folder protoo, which can name others with mod")
	}
	flags := []string{"--edition", "2021", "--target", "wasm32-unknown-unknown", "-C", "opt-level=2", "-C", "target-feature=+bulk-memory",
		"-C", "panic=abort", "-C", "codegen-units=1"}
	library := filepath.Join(p.scratch, "libprotoo.rlib")
	err = p.run(nil, rustc, append(flags, "--crate-type", "rlib", "--crate-name", "protoo", "-o", library, "protoo/lib.rs")...)
	if err != nil {
		return fmt.Errorf("%w; if the target is missing, %s", err, installRust)
	}
	flags = append(flags, "-C", "lto", "-C", "link-arg=-zstack-size=16384", "-C", "strip=symbols", "--crate-type", "cdylib",
		"--extern", "protoo="+library, "--remap-path-prefix", p.scratch+"=")
	// Debian's compiler has no linker of its own. With a newer one than it was made for, it fails.
	if linker, err := tool(installRust, "wasm-ld-14", "wasm-ld"); err == nil && rustc == "/usr/bin/rustc" {
		flags = append(flags, "-C", "linker="+linker, "-C", "linker-flavor=wasm-ld")
	}
	return p.run(nil, rustc, append(flags, "-o", p.out, p.inDir()[0])...)
}

// buildAssemblyScript uses the compiler in the project's node_modules, or one that is installed for all.
func buildAssemblyScript(p *project) error {
	compiler, err := tool("", filepath.Join(p.dir, "node_modules", ".bin", "asc"), "asc")
	if err != nil {
		return fmt.Errorf("there is no AssemblyScript compiler here: run npm install in %s", p.dir)
	}
	if compiler, err = filepath.Abs(compiler); err != nil {
		return err
	}
	return p.run(nil, compiler, append(p.own("protoo.ts"),
		"-O3", "--shrinkLevel", "1", "--runtime", "minimal", "--use", "abort=protoo/abort", "-o", p.out)...)
}

const installZig = "install Zig 0.11 from https://ziglang.org/download"

// buildZig needs the release whose language the library is written in: later ones have changed that, and their flags.
func buildZig(p *project) error {
	zig, err := tool(installZig, "zig")
	if err != nil {
		return err
	}
	sources := p.own("protoo.zig")
	if len(sources) != 1 {
		return errors.New("a module in Zig has one file beside protoo.zig")
	}
	err = p.run(nil, zig, "build-lib", sources[0], "--mod", "protoo::protoo.zig", "--deps", "protoo",
		"-target", "wasm32-freestanding", "-mcpu", "generic+bulk_memory", "-dynamic", "-rdynamic", "-O", "ReleaseSmall", "-fstrip",
		"--stack", "16384", "--cache-dir", p.scratch, "-femit-bin="+p.out)
	if err != nil {
		return fmt.Errorf("%w; if it is another release, %s", err, installZig)
	}
	return nil
}
