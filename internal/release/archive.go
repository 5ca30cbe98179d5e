package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// member is a file that goes into an archive.
type member struct {
	name string // in the archive
	mode os.FileMode
	text []byte
}

// read returns the members that an archive has below a folder. Their modes are not those of the checkout, which depend on the
// user's umask.
func read(folder string, files []string) ([]member, error) {
	var all []member
	for i, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		m := member{name: path.Join(folder, filepath.Base(file)), mode: 0o644, text: text}
		if i == 0 {
			m.mode = 0o755 // the program
		}
		all = append(all, m)
	}
	return all, nil
}

func (r *release) writeTar(name, folder string, files []string) error {
	members, err := read(folder, files)
	if err != nil {
		return err
	}
	return create(name, func(w io.Writer) error {
		z, err := gzip.NewWriterLevel(w, gzip.BestCompression) // its header has no time and no name
		if err != nil {
			return err
		}
		t := tar.NewWriter(z)
		for _, m := range members {
			header := &tar.Header{Name: m.name, Mode: int64(m.mode), Size: int64(len(m.text)), ModTime: r.time, Format: tar.FormatUSTAR}
			if err := t.WriteHeader(header); err != nil {
				return err
			}
			if _, err := t.Write(m.text); err != nil {
				return err
			}
		}
		if err := t.Close(); err != nil {
			return err
		}
		return z.Close()
	})
}

func (r *release) writeZip(name, folder string, files []string) error {
	members, err := read(folder, files)
	if err != nil {
		return err
	}
	return create(name, func(w io.Writer) error {
		z := zip.NewWriter(w)
		for _, m := range members {
			header := &zip.FileHeader{Name: m.name, Method: zip.Deflate, Modified: r.time}
			header.SetMode(m.mode)
			f, err := z.CreateHeader(header)
			if err != nil {
				return err
			}
			if _, err := f.Write(m.text); err != nil {
				return err
			}
		}
		return z.Close()
	})
}

func create(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// writeChecksums writes them as sha256sum -c reads them.
func writeChecksums(dir string, files []string) error {
	var b strings.Builder
	for _, file := range files {
		f, err := os.Open(filepath.Join(dir, file))
		if err != nil {
			return err
		}
		h := sha256.New()
		_, err = io.Copy(h, f)
		_ = f.Close()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%x  %s\n", h.Sum(nil), file)
	}
	return os.WriteFile(filepath.Join(dir, "SHA256SUMS"), []byte(b.String()), 0o644)
}
