package allinone

import (
	"context"
	"io"

	"gopkg.in/natefinch/lumberjack.v2"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"

	"github.com/skiff-project/skiff/cluster/layout"
)

// Components are the names under which parts log (`skiff logs NAME`), in the
// order in which they start.
var Components = []string{"apiserver", "controller-manager", "scheduler", "proxy", "cni", "nodeagent"}

// logFile returns the rotated log file of a component.
func logFile(dir layout.DataDir, component string) io.WriteCloser {
	return &lumberjack.Logger{Filename: dir.Log(component), MaxSize: 10, MaxBackups: 3} // MiB
}

// withLog returns a context whose logger writes to the component's own file.
func withLog(ctx context.Context, dir layout.DataDir, component string, verbosity int) (context.Context, io.WriteCloser) {
	file := logFile(dir, component)
	logger := textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(file), textlogger.Verbosity(verbosity)))
	return klog.NewContext(ctx, logger), file
}

// sendGlobalLog puts what libraries log without a context into the API server's
// file, where nearly all of it comes from.
func sendGlobalLog(w io.Writer) {
	klog.LogToStderr(false)
	klog.SetOutput(w)
}
