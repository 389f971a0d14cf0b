package status

import (
	"io"
	"os"

	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// How much of a container's last words is kept.
const (
	maxMessageBytes = 4096
	maxLogTailBytes = 2048
	// MessageLogLines is how many lines logs should return at most.
	MessageLogLines = 80
)

// TerminationMessage returns what an ended container wrote to its termination
// message file, or else, if its policy asks for it and it failed, the end of its
// log, which logs returns.
func TerminationMessage(c *runtime.Container, logs func() string) string {
	if c.State != runtime.StateExited {
		return ""
	}
	if c.TerminationMessageHostPath != "" {
		if text := head(c.TerminationMessageHostPath); text != "" {
			return text
		}
	}
	if c.TerminationMessagePolicy != corev1.TerminationMessageFallbackToLogsOnError || c.ExitCode == 0 || c.StartedAt.IsZero() {
		return ""
	}
	text := logs()
	if len(text) > maxLogTailBytes {
		text = text[len(text)-maxLogTailBytes:]
	}
	return text
}

// head reads the start of a file; the container may have put anything there, also another kind of file.
func head(path string) string {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxMessageBytes))
	if err != nil {
		return ""
	}
	return string(data)
}
