package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	if err := os.MkdirAll("out/deep", 0o755); err != nil {
		panic(err)
	}
	for _, name := range []string{"out/b.txt", "out/deep/a.txt"} {
		if err := os.WriteFile(name, []byte(name), 0o644); err != nil {
			panic(err)
		}
	}
	filepath.WalkDir("out", func(path string, entry fs.DirEntry, err error) error {
		fmt.Println(path, entry.IsDir())
		return err
	})
	_, err := os.ReadFile("/nowhere")
	var pathError *fs.PathError
	fmt.Println(errors.Is(err, fs.ErrNotExist), errors.As(err, &pathError), pathError.Op)

	sort := exec.Command("sort", "-r")
	sort.Stdin = strings.NewReader("a\nc\nb\n")
	sorted, err := sort.Output()
	fmt.Printf("%q %v\n", sorted, err)
	failed := exec.Command("/bin/sh", "-c", "echo oops >&2; exit 3")
	var stderr bytes.Buffer
	failed.Stderr = &stderr
	err = failed.Run()
	fmt.Println(err, strings.TrimSpace(stderr.String()))

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	fmt.Println(<-signals)
}
