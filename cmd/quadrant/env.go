package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/cpuid/v2"

	"quadrant/kernels"
	"quadrant/results"
)

// environment describes this machine and program, computing on dev.
func environment(dev kernels.Device) results.Env {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	threads := 1
	if d, ok := dev.(interface{ Threads() int }); ok {
		threads = d.Threads()
	}
	return results.Env{
		Time: time.Now().UTC().Format(time.RFC3339), Host: host, CPU: cpuBrand(), Cores: runtime.GOMAXPROCS(0),
		OS: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(), Device: dev.Name(), Threads: threads,
		Commit: commit(), Load: loadAverage(),
	}
}

func cpuBrand() string {
	if name := strings.TrimSpace(cpuid.CPU.BrandName); name != "" {
		return name
	}
	return "unknown " + runtime.GOARCH
}

// loadAverage is the machine's load over the last minute, or -1 where that is unknown.
func loadAverage() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err == nil {
		first, _, _ := strings.Cut(string(text), " ")
		if load, err := strconv.ParseFloat(first, 64); err == nil {
			return load
		}
	}
	return -1
}

// commit is the revision that the program was built from: as the compiler recorded it, or, for
// go run, which records none, as git knows it of the source tree that the program runs in. It is
// empty for any other program without a record: the tree that it runs in may be another.
func commit() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		var revision, dirty string
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				revision = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				dirty = "+dirty"
			}
		}
		if revision != "" {
			return short(revision) + dirty
		}
	}
	root := sourceTree()
	if exe, err := os.Executable(); err != nil || root == "" || !strings.Contains(exe, "go-build") {
		return "" // the go command keeps what it runs in folders of that name
	}
	revision, err := exec.Command("git", "-C", root, "rev-parse", "HEAD").Output()
	if err != nil {
		return ""
	}
	changes, err := exec.Command("git", "-C", root, "status", "--porcelain", "--untracked-files=no").Output()
	if err != nil {
		return ""
	}
	if len(changes) > 0 {
		return short(string(revision)) + "+dirty"
	}
	return short(string(revision))
}

func short(revision string) string { return strings.TrimSpace(revision)[:12] }

// sourceTree is the folder of quadrant's go.mod at or above the working folder, or "".
func sourceTree() string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if mod, err := os.ReadFile(filepath.Join(dir, "go.mod")); err == nil {
			if strings.HasPrefix(string(mod), "module quadrant\n") {
				return dir
			}
			return ""
		}
	}
	return ""
}

// checkMemory returns an error if a model of the given bytes does not fit what dev has
// free, where that is known: a clear refusal is better than being killed half-way. A device
// without memory of its own, and nil, have the machine's.
func checkMemory(dev kernels.Device, what string, need int64) error {
	if need > 1<<30 {
		debug.FreeOSMemory() // models that a command has done with are not in the way
	}
	free, where := freeMemory(), "memory"
	if d, ok := dev.(interface{ FreeMemory() (int64, error) }); ok {
		var err error
		if free, err = d.FreeMemory(); err != nil {
			return fmt.Errorf("the free memory of %s: %w", dev.Name(), err)
		}
		where += " on " + dev.Name()
	}
	if free < 0 || need <= free {
		return nil
	}
	return fmt.Errorf("%s needs %.1f GiB of %s and %.1f GiB are free: take --dtype bf16 or f16, a smaller model or shorter sequences",
		what, gib(need), where, gib(free))
}

func gib(bytes int64) float64 { return float64(bytes) / (1 << 30) }

// freeMemory is the bytes that can be had without swapping, or -1 where that is unknown.
func freeMemory() int64 { return meminfo("MemAvailable:") }

// totalMemory is the bytes that this machine has, or -1 where that is unknown.
func totalMemory() int64 { return meminfo("MemTotal:") }

// meminfo is a line of Linux's /proc/meminfo in bytes, or -1.
func meminfo(key string) int64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return -1
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == key {
			if kib, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
				return kib << 10
			}
		}
	}
	return -1
}
