package core

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
)

// linuxSignals are the signals that can stop a container on Linux.
var linuxSignals = signalSet()

func signalSet() sets.Set[corev1.Signal] {
	signals := sets.New[corev1.Signal]()
	for _, name := range strings.Fields(`ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR
		QUIT SEGV STKFLT STOP SYS TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX`) {
		signals.Insert(corev1.Signal("SIG" + name))
	}
	for i := 1; i <= 15; i++ {
		signals.Insert(corev1.Signal(fmt.Sprintf("SIGRTMIN+%d", i)))
	}
	for i := 1; i <= 14; i++ {
		signals.Insert(corev1.Signal(fmt.Sprintf("SIGRTMAX-%d", i)))
	}
	return signals
}

func sortedSignals() []corev1.Signal { return sets.List(linuxSignals) }
