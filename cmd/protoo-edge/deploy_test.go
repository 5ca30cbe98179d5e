package main

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/certificate/certtest"
	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/config"
)

// The examples in deploy are what operators begin with, so they must fit the program.

func readDeploy(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// loadDeployed reads a configuration with the files that it names replaced, because they are not here.
func loadDeployed(t *testing.T, text string, environ ...string) *config.Config {
	t.Helper()
	dir := t.TempDir()
	certtest.NewAuthority(t).Write(t, dir, certtest.Validity{})
	text = strings.NewReplacer("/etc/protoo-tls/tls.crt", "cert.pem", "/etc/protoo-tls/tls.key", "key.pem").Replace(text)
	cfg, err := config.Load(config.Sources{File: writeFile(t, dir, "edge.yaml", text), Environ: environ})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// object is one of Kubernetes', as far as it is looked at here.
type object struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     struct {
		Selector any
		Template struct {
			Metadata struct {
				Labels, Annotations map[string]string
			}
			Spec pod
		}
		Ports []struct {
			Name       string
			Port       int
			TargetPort string `yaml:"targetPort"`
			Protocol   string
		}
	}
}

type pod struct {
	Grace      int `yaml:"terminationGracePeriodSeconds"`
	Containers []struct {
		Args    []string
		EnvFrom []struct {
			SecretRef struct{ Name string } `yaml:"secretRef"`
		} `yaml:"envFrom"`
		Ports []struct {
			Name          string
			ContainerPort int `yaml:"containerPort"`
			Protocol      string
		}
		Readiness probe `yaml:"readinessProbe"`
		Liveness  probe `yaml:"livenessProbe"`
		Startup   probe `yaml:"startupProbe"`
		Mounts    []struct {
			Name, MountPath string
		} `yaml:"volumeMounts"`
	}
	Volumes []struct {
		Name      string
		ConfigMap struct{ Name string } `yaml:"configMap"`
	}
}

type probe struct {
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
}

func TestKubernetes(t *testing.T) {
	text := readDeploy(t, "kubernetes/protoo-edge.yaml")
	objects := make(map[string]object)
	for part := range strings.SplitSeq(text, "\n---\n") {
		var o object
		if err := yaml.Unmarshal([]byte(part), &o); err != nil {
			t.Fatal(err)
		}
		objects[o.Kind] = o
	}
	if kinds := slices.Sorted(maps.Keys(objects)); !slices.Equal(kinds, []string{"ConfigMap", "Deployment", "PodDisruptionBudget", "Service"}) {
		t.Fatalf("there are %v", kinds)
	}

	// What the comment creates as secrets is variables of the environment.
	var environ []string
	for _, found := range regexp.MustCompile(`--from-literal=(PROTOO_\w+)=`).FindAllStringSubmatch(text, -1) {
		environ = append(environ, found[1]+"="+strings.Repeat("c2VjcmV0", 8))
	}
	if len(environ) == 0 {
		t.Error("no secret is created")
	}
	cfg := loadDeployed(t, objects["ConfigMap"].Data["edge.yaml"], environ...)
	if cfg.Env != config.Production {
		t.Error("the server is not for production")
	}
	spec := objects["Deployment"].Spec.Template.Spec
	c := spec.Containers[0]
	if grace := time.Duration(spec.Grace) * time.Second; grace <= cfg.Drain.Timeout {
		t.Errorf("the pod is killed after %v, the drain may take %v", grace, cfg.Drain.Timeout)
	}
	ports := make(map[string]string)
	for _, p := range c.Ports {
		ports[p.Name] = fmt.Sprintf("%s :%d", p.Protocol, p.ContainerPort)
	}
	if want := map[string]string{"https": "TCP " + cfg.TLS.Addr, "quic": "UDP " + cfg.TLS.Addr, "internal": "TCP " + cfg.Internal.Addr}; !maps.Equal(ports, want) {
		t.Errorf("the container has ports %v, the configuration %v", ports, want)
	}
	for _, p := range objects["Service"].Spec.Ports {
		if port, ok := ports[p.TargetPort]; !ok || !strings.HasPrefix(port, p.Protocol+" ") || p.TargetPort == "internal" {
			t.Errorf("the service leads port %d to %q, which is %q", p.Port, p.TargetPort, port)
		}
	}
	for name, p := range map[string]probe{"/readyz": c.Readiness, "/livez": c.Liveness} {
		if p.HTTPGet.Path != name || p.HTTPGet.Port != "internal" {
			t.Errorf("a probe asks for %+v, want %s", p.HTTPGet, name)
		}
	}
	if c.Startup.HTTPGet != c.Liveness.HTTPGet {
		t.Errorf("the startup probe asks for %+v", c.Startup.HTTPGet)
	}
	if port := objects["Deployment"].Spec.Template.Metadata.Annotations["prometheus.io/port"]; ":"+port != cfg.Internal.Addr {
		t.Errorf("metrics are looked for at port %s", port)
	}
	if !slices.Equal(c.Args, []string{"serve", "--config", "/etc/protoo/edge.yaml"}) || spec.Volumes[0].ConfigMap.Name != objects["ConfigMap"].Metadata.Name {
		t.Errorf("the configuration is not the one that is served with: %v", c.Args)
	}
	if !strings.Contains(text, "create secret generic "+c.EnvFrom[0].SecretRef.Name+" ") {
		t.Errorf("nothing creates the secret %s", c.EnvFrom[0].SecretRef.Name)
	}
}

func TestSystemd(t *testing.T) {
	unit := readDeploy(t, "systemd/protoo-edge.service")
	cfg := loadDeployed(t, readDeploy(t, "systemd/edge.yaml")+"identity: {type: wasm}\nmiddleware: [{use: wasm, path: /, file: x.wasm, connect: true}]\n")
	found := regexp.MustCompile(`\nTimeoutStopSec=(\d+s)\n`).FindStringSubmatch(unit)
	if found == nil {
		t.Fatal("there is no TimeoutStopSec")
	}
	if limit, err := time.ParseDuration(found[1]); err != nil || limit <= cfg.Drain.Timeout {
		t.Errorf("the service is killed after %v, the drain may take %v", limit, cfg.Drain.Timeout)
	}
	if !strings.HasPrefix(cfg.TLS.ACME.Cache, "/var/lib/protoo/") || !strings.Contains(unit, "\nStateDirectory=protoo\n") {
		t.Errorf("certificates are kept in %s", cfg.TLS.ACME.Cache)
	}
	commandExists(t, unit, `\nExecStart=/usr/bin/protoo-edge (.*)\n`)

	// Each socket has an address at which the configuration listens.
	sockets := readDeploy(t, "systemd/protoo-edge.socket")
	listens := map[string]bool{"Stream=" + cfg.TLS.Addr: true, "Datagram=" + cfg.TLS.Addr: true, "Stream=" + cfg.Addr: true}
	for _, s := range regexp.MustCompile(`\nListen(Stream|Datagram)=(\d+)\b`).FindAllStringSubmatch(sockets, -1) {
		key := s[1] + "=:" + s[2]
		if !listens[key] {
			t.Errorf("nobody listens at %s", key)
		}
		delete(listens, key)
	}
	if len(listens) > 0 {
		t.Errorf("there is no socket for %v", listens)
	}
}

func TestDockerfile(t *testing.T) {
	text := readDeploy(t, "Dockerfile")
	cfg := loadDeployed(t, readDeploy(t, "container.yaml"), "PROTOO_INTERNAL_ADDR=127.0.0.1:9090")
	if !strings.Contains(text, "PROTOO_INTERNAL_ADDR="+cfg.Internal.Addr) || !strings.Contains(text, "EXPOSE "+strings.TrimPrefix(cfg.Addr, ":")+"/tcp") {
		t.Errorf("the image and its configuration differ: %s, %s", cfg.Addr, cfg.Internal.Addr)
	}
	health := regexp.MustCompile(`CMD \["/usr/bin/protoo-edge", "(.*)"\]`).FindStringSubmatch(text)
	if health == nil {
		t.Fatal("there is no health check")
	}
	parseCommand(t, strings.Split(health[1], `", "`))
	copied := regexp.MustCompile(`\nCOPY deploy/(\S+) `).FindStringSubmatch(text)
	if copied == nil || copied[1] != "container.yaml" {
		t.Errorf("copied is %v", copied)
	}
	if !strings.Contains(text, "-X main.commit=$COMMIT") {
		t.Error("the commit is not set")
	}
}

func commandExists(t *testing.T, text, pattern string) {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("nothing matches %s", pattern)
	}
	parseCommand(t, strings.Fields(found[1]))
}

// parseCommand checks that there is such a command, with such flags.
func parseCommand(t *testing.T, args []string) {
	t.Helper()
	c, err := find(commands(), args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := c.flags.Parse(args[1:]); err != nil {
		t.Errorf("%v: %v", args, err)
	}
}

// TestHealthCommand asks a server, and one that is not there.
func TestHealthCommand(t *testing.T) {
	e := startEdge(t, "--internal-addr", "127.0.0.1:0")
	addr := strings.TrimPrefix(e.internal(t), "http://")
	if r := runCommand(t, "", "health", "--internal-addr", addr); r.code != exitOK || !strings.Contains(r.stdout, `"ready":true`) {
		t.Errorf("got %+v", r)
	}
	if r := runCommand(t, "", "health", "--live", "--internal-addr", addr); r.code != exitOK || !strings.Contains(r.stdout, `"live":true`) {
		t.Errorf("got %+v", r)
	}
	e.stop()
	if r := runCommand(t, "", "health", "--internal-addr", addr); r.code != exitFailure {
		t.Errorf("got %+v", r)
	}
	if r := runCommand(t, "", "health"); r.code != exitFailure || !strings.Contains(r.stderr, "internal.addr is off") {
		t.Errorf("got %+v", r)
	}
	for addr, want := range map[string]string{":9090": "127.0.0.1:9090", "0.0.0.0:1": "127.0.0.1:1", "[::]:1": "[::1]:1", "10.0.0.1:1": "10.0.0.1:1", "edge:1": "edge:1"} {
		if got := reachable(addr); got != want {
			t.Errorf("%s: got %s, want %s", addr, got, want)
		}
	}
}

// TestCloseCodes compares the table of docs/operations.md with the codes that the sources define.
func TestCloseCodes(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## Close codes\n")
	if !found {
		t.Fatal("there is no table")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	documented := make(map[string]bool)
	for _, row := range regexp.MustCompile(`(?m)^\| (\d{4}) \|`).FindAllStringSubmatch(section, -1) {
		documented[row[1]] = true
	}
	defined := make(map[string]bool)
	definition := regexp.MustCompile(`(?m)^(?:const)?\s+[cC]lose\w+\s+= (\d{4})\b`)
	err = filepath.WalkDir(filepath.Join("..", ".."), func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || d.Name() == "dist" || strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		source, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for _, found := range definition.FindAllSubmatch(source, -1) {
			defined[string(found[1])] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	delete(defined, "4000") // which is added to an HTTP status, as the text says
	if !maps.Equal(documented, defined) {
		t.Errorf("documented are %v, defined %v", slices.Sorted(maps.Keys(documented)), slices.Sorted(maps.Keys(defined)))
	}
}
