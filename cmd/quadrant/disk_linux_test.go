package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"quadrant/results"
)

// On a full disk every command ends with one clear line, and what it wrote before can be
// read; when there is room again, the same command goes on.
func TestFullDisk(t *testing.T) {
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=16k"); err != nil {
		t.Skipf("needs a disk to fill: mounting a small one: %v (it takes root on Linux)", err)
	}
	defer func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	text := filepath.Join(t.TempDir(), "text.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("to be or not to be ", 30)), 0o666); err != nil {
		t.Fatal(err)
	}
	report := filepath.Join(disk, "report")
	args := []string{"reproduce", "--train-steps", "1", "--gen", "4,8", "--repeats", "1", "--tokens", "64", "--corpus", text, "--out", report}
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), args, &stdout, &stderr); code != exitFailed {
		t.Fatalf("exit code %d on a full disk; %s", code, &stderr)
	}
	if lines := strings.Split(strings.TrimSpace(stderr.String()), "\n"); !strings.Contains(lines[len(lines)-1], "no space left on device") {
		t.Errorf("standard error ends with %q", lines[len(lines)-1])
	}
	if err := unix.Mount("tmpfs", disk, "tmpfs", unix.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatal(err)
	}
	if code := run(t.Context(), args, &stdout, &stderr); code != exitOK {
		t.Fatalf("with room again: exit code %d; %s", code, &stderr)
	}
	rs, err := results.ReadFile(filepath.Join(report, resultsName))
	if err != nil || len(rs) == 0 {
		t.Errorf("%d results, %v", len(rs), err)
	}
	files, err := os.ReadDir(report)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".tmp") {
			t.Errorf("left behind: %s", f.Name())
		}
	}
}
