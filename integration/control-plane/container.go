package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	utilexec "k8s.io/utils/exec"
)

// container is what all containers of the stand-in are: nothing runs in them,
// and they understand a few words.
type container struct {
	logInterval time.Duration
}

// ExecInContainer does what the words of the command say, one after the other:
//
//	cat            copies the standard input to the standard output
//	out:TEXT       prints a line to the standard output
//	err:TEXT       prints a line to the standard error
//	wait           goes on until the client has gone
//	exit:CODE      ends with this code
func (c container) ExecInContainer(ctx context.Context, _ string, _ podUID, _ string, command []string,
	in io.Reader, out, err io.WriteCloser, _ bool, _ <-chan terminalSize, _ time.Duration) error {
	for _, word := range command {
		name, argument, _ := strings.Cut(word, ":")
		if failure := do(ctx, name, argument, in, out, err); failure != nil {
			return failure
		}
	}
	return nil
}

// do is one word. A stream that the client did not ask for is nil.
func do(ctx context.Context, name, argument string, in io.Reader, out, err io.Writer) error {
	switch name {
	case "cat":
		if in == nil || out == nil {
			return fmt.Errorf("cat needs the standard input and output")
		}
		_, failure := io.Copy(out, in)
		return failure
	case "out":
		return printLine(out, argument)
	case "err":
		return printLine(err, argument)
	case "wait":
		<-ctx.Done()
		return ctx.Err()
	case "exit":
		code, failure := strconv.Atoi(argument)
		if failure != nil || code == 0 {
			return failure
		}
		return utilexec.CodeExitError{Err: fmt.Errorf("exit %d", code), Code: code}
	default:
		return utilexec.CodeExitError{Err: fmt.Errorf("%s: not found", name), Code: 127}
	}
}

func printLine(to io.Writer, text string) error {
	if to == nil {
		return nil
	}
	_, err := fmt.Fprintln(to, text)
	return err
}

// AttachContainer says hello and copies the standard input to the standard
// output.
func (c container) AttachContainer(_ context.Context, _ string, _ podUID, _ string,
	in io.Reader, out, _ io.WriteCloser, _ bool, _ <-chan terminalSize) error {
	if out == nil {
		return nil
	}
	if err := printLine(out, "attached"); err != nil || in == nil {
		return err
	}
	_, err := io.Copy(out, in)
	return err
}

// PortForward gives back what comes, whatever the port.
func (c container) PortForward(_ context.Context, _ string, _ podUID, _ int32, stream io.ReadWriteCloser) error {
	_, err := io.Copy(stream, stream)
	return err
}

// writeLog writes three lines, or lines without end until the client has gone.
func (c container) writeLog(ctx context.Context, w http.ResponseWriter, follow bool) {
	flush := http.NewResponseController(w).Flush
	for line := 1; follow || line <= 3; line++ {
		if _, err := fmt.Fprintf(w, "line %d\n", line); err != nil {
			return
		}
		if err := flush(); err != nil || !follow {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(c.logInterval):
		}
	}
}
