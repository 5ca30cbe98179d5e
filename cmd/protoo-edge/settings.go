package main

import (
	"cmp"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/protoo-go/protoo/cmd/protoo-edge/internal/config"
)

// settings are what a command line says about the configuration.
type settings struct {
	file  string
	given []config.Flag
}

// flags returns a flag for every setting; the help lists the common ones.
func (s *settings) flags(command string) *pflag.FlagSet {
	f := pflag.NewFlagSet(command, pflag.ContinueOnError)
	f.SortFlags = false
	f.StringVar(&s.file, "config", "", "read settings from this YAML `file` (default: what PROTOO_CONFIG names)")
	for _, setting := range config.New().Settings() {
		name := setting.Flag()
		if name == "" {
			continue
		}
		flag := f.VarPF(&settingFlag{setting: setting, given: &s.given}, name, "", strings.Join(strings.Fields(setting.Doc), " "))
		flag.Hidden = !setting.Common
		if setting.IsSwitch() {
			flag.NoOptDefVal = "true"
		}
	}
	f.Var(&moduleFlag{&s.given}, config.ModuleFlag, "Mount the WebAssembly module of this file in front of the other middleware. "+
		"Behind the file, after commas, stand grants, connect, and keys of such an entry with their values: kv,limits.fuel=1000000,on_error=skip. "+
		"settings={...} is the last. It can be given several times.")
	return f
}

// load reads the configuration: the file, the environment and the flags.
func (s *settings) load() (*config.Config, error) {
	cfg, err := config.Load(config.Sources{
		File:    cmp.Or(s.file, os.Getenv(config.FileEnv)),
		Environ: os.Environ(),
		Flags:   s.given,
	})
	if err != nil {
		return nil, err
	}
	if mistakes := verify(cfg); len(mistakes) > 0 {
		return nil, mistakes
	}
	return cfg, nil
}

// settingFlag collects what was given, to be understood together with the file and the environment, so
// that all mistakes are reported at once.
type settingFlag struct {
	setting *config.Setting
	given   *[]config.Flag
}

func (f *settingFlag) Set(text string) error {
	*f.given = append(*f.given, config.Flag{Name: f.setting.Flag(), Text: text})
	return nil
}

func (f *settingFlag) String() string { return f.setting.Text() }
func (f *settingFlag) Type() string   { return f.setting.Kind() }

// moduleFlag collects the modules that were given.
type moduleFlag struct{ given *[]config.Flag }

func (f *moduleFlag) Set(text string) error {
	*f.given = append(*f.given, config.Flag{Name: config.ModuleFlag, Text: text})
	return nil
}

func (f *moduleFlag) String() string { return "" }
func (f *moduleFlag) Type() string   { return config.ModuleFlagSyntax }
