package core

import (
	"context"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

// wantErrors compares the texts of errs with want, which may leave out their ends.
func wantErrors(t *testing.T, errs field.ErrorList, want []string) {
	t.Helper()
	var got []string
	for _, err := range errs {
		got = append(got, err.Error())
	}
	slices.Sort(got)
	want = slices.Clone(want)
	slices.Sort(want)
	same := slices.EqualFunc(got, want, func(got, want string) bool { return strings.HasPrefix(got, want) })
	if !same {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// podManifest returns a pod whose spec has the given lines in addition to one
// container, whose own additional lines are container.
func podManifest(spec, container string) string {
	indent := func(text, by string) string {
		var out strings.Builder
		for line := range strings.Lines(strings.Trim(text, "\n")) {
			out.WriteString(by + line)
		}
		return out.String()
	}
	return "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: default}\nspec:\n" + indent(spec, "  ") +
		"\n  containers:\n  - name: c\n    image: i\n" + indent(container, "    ")
}

// TestPodValidation names for each broken pod the errors that users of Kubernetes
// know. An empty list is a pod that must pass.
func TestPodValidation(t *testing.T) {
	tests := []struct {
		name            string
		spec, container string
		want            []string
	}{
		{name: "minimal"},
		{name: "restart policy", spec: "restartPolicy: Sometimes", want: []string{
			`spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"`}},
		{name: "dns policy", spec: "dnsPolicy: Mine", want: []string{
			`spec.dnsPolicy: Unsupported value: "Mine": supported values: "ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"`}},
		{name: "no dns without servers", spec: "dnsPolicy: None", want: []string{
			"spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"}},
		{name: "dns config", spec: "dnsConfig: {nameservers: [1.1.1.1, 2.2.2.2, 3.3.3.3, x], searches: [a_b.c, '-'], options: [{value: v}]}", want: []string{
			`spec.dnsConfig.nameservers: Invalid value: ["1.1.1.1","2.2.2.2","3.3.3.3","x"]: must not have more than 3 nameservers`,
			`spec.dnsConfig.nameservers[3]: Invalid value: "x": must be a valid IP address`,
			`spec.dnsConfig.searches[1]: Invalid value: "-": `,
			`spec.dnsConfig.options[0]: Required value: must not be empty`}},
		{name: "deadline", spec: "activeDeadlineSeconds: 0", want: []string{
			"spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"}},
		{name: "names", spec: "nodeName: No_de\nserviceAccountName: A\nhostname: a.b\nsubdomain: A\npriorityClassName: '?'", want: []string{
			`spec.nodeName: Invalid value: "No_de": a lowercase RFC 1123 subdomain`,
			`spec.serviceAccountName: Invalid value: "A": a lowercase RFC 1123 subdomain`,
			`spec.hostname: Invalid value: "a.b": must not contain dots`,
			`spec.subdomain: Invalid value: "A": a lowercase RFC 1123 label`,
			`spec.priorityClassName: Invalid value: "?": a lowercase RFC 1123 subdomain`}},
		{name: "node selector", spec: "nodeSelector: {'a b': x}", want: []string{`spec.nodeSelector: Invalid value: "a b": name part`}},
		{name: "os", spec: "os: {name: plan9}", want: []string{`spec.os.name: Unsupported value: "plan9": supported values: "linux", "windows"`}},
		{name: "process namespaces", spec: "hostPID: true\nshareProcessNamespace: true", want: []string{
			"spec.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled"}},
		{name: "users of its own", spec: "hostUsers: false\nhostNetwork: true", want: []string{
			"spec.hostNetwork: Forbidden: when `hostUsers` is false"}},
		{name: "gated and placed", spec: "nodeName: node1\nschedulingGates: [{name: a/b/c}]", want: []string{
			"spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared",
			`spec.schedulingGates[0]: Invalid value: "a/b/c": a valid label key`}},
		{name: "host aliases", spec: "hostAliases: [{ip: nine, hostnames: [A]}]", want: []string{
			`spec.hostAliases[0].ip: Invalid value: "nine": must be a valid IP address`,
			`spec.hostAliases[0].hostnames[0]: Invalid value: "A": a lowercase RFC 1123 subdomain`}},
		{name: "ephemeral containers on create", spec: "ephemeralContainers: [{name: d, image: i}]", want: []string{
			"spec.ephemeralContainers: Forbidden: cannot be set on create"}},
		{name: "pod security", spec: "securityContext: {runAsUser: -1, fsGroup: -1, supplementalGroups: [-1], sysctls: [{name: 'a b', value: x}], seccompProfile: {type: Localhost}}", want: []string{
			"spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
			"spec.securityContext.fsGroup: Invalid value: -1: must be between 0 and 2147483647, inclusive",
			"spec.securityContext.supplementalGroups[0]: Invalid value: -1: must be between 0 and 2147483647, inclusive",
			`spec.securityContext.sysctls[0].name: Invalid value: "a b": must have at most 253 characters and match regex`,
			"spec.securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost"}},
		{name: "readiness gate", spec: "readinessGates: [{conditionType: 'a b'}]", want: []string{
			`spec.readinessGates[0].conditionType: Invalid value: "a b": name part`}},

		{name: "image", container: "image: ''", want: []string{"spec.containers[0].image: Required value"}},
		{name: "blank image", container: "image: ' i'", want: []string{
			`spec.containers[0].image: Invalid value: " i": must not have leading or trailing whitespace`}},
		{name: "container name", container: "name: My_App", want: []string{`spec.containers[0].name: Invalid value: "My_App": a lowercase RFC 1123 label`}},
		{name: "pull policy", container: "imagePullPolicy: Now", want: []string{
			`spec.containers[0].imagePullPolicy: Unsupported value: "Now": supported values: "Always", "IfNotPresent", "Never"`}},
		{name: "termination message", container: "terminationMessagePolicy: Loud", want: []string{
			`spec.containers[0].terminationMessagePolicy: Unsupported value: "Loud": supported values: "File", "FallbackToLogsOnError"`}},
		{name: "duplicate container", container: "image: i\n", spec: "initContainers: [{name: c, image: i}]", want: []string{
			`spec.initContainers[0].name: Duplicate value: "c"`}},
		{name: "init container with probe", spec: "initContainers: [{name: i, image: i, livenessProbe: {exec: {command: [x]}}}]", want: []string{
			"spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always"}},
		{name: "sidecar with probe", spec: "initContainers: [{name: i, image: i, restartPolicy: Always, startupProbe: {exec: {command: [x]}}}]"},
		{name: "ports", container: "ports: [{containerPort: 0}, {name: Bad_Name, containerPort: 80}, {name: a, containerPort: 70000, protocol: ICMP}, {name: a, containerPort: 81, hostPort: 81}, {containerPort: 82, hostPort: 81}]", want: []string{
			"spec.containers[0].ports[0].containerPort: Required value",
			`spec.containers[0].ports[1].name: Invalid value: "Bad_Name": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)`,
			"spec.containers[0].ports[2].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
			`spec.containers[0].ports[2].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"`,
			`spec.containers[0].ports[3].name: Duplicate value: "a"`,
			`spec.containers[0].ports[4].hostPort: Duplicate value: "TCP//81"`}},
		{name: "port on the host's network", spec: "hostNetwork: true", container: "ports: [{containerPort: 80, hostPort: 8080}]", want: []string{
			"spec.containers[0].ports[0].containerPort: Invalid value: 80: must match `hostPort` when `hostNetwork` is true"}},
		{name: "env", container: "env: [{name: ''}, {name: a=b}, {name: A, value: v, valueFrom: {fieldRef: {fieldPath: metadata.name}}}, {name: B, valueFrom: {}}]", want: []string{
			"spec.containers[0].env[0].name: Required value",
			`spec.containers[0].env[1].name: Invalid value: "a=b": `,
			"spec.containers[0].env[2].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
			"spec.containers[0].env[3].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`"}},
		{name: "env fields", container: "env: [{name: A, valueFrom: {fieldRef: {fieldPath: spec.containers}}}, {name: B, valueFrom: {fieldRef: {fieldPath: metadata.labels}}}, {name: C, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['app']\"}}}, {name: D, valueFrom: {resourceFieldRef: {resource: cpu}}}, {name: E, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 3}}}]", want: []string{
			`spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.containers": error converting fieldPath: field label not supported: spec.containers`,
			`spec.containers[0].env[1].valueFrom.fieldRef.fieldPath: Unsupported value: "metadata.labels": supported values: "metadata.name"`,
			`spec.containers[0].env[3].valueFrom.resourceFieldRef.resource: Unsupported value: "cpu": supported values: "limits.cpu"`,
			`spec.containers[0].env[4].valueFrom.resourceFieldRef.divisor: Invalid value: "limits.cpu": only divisor's values 1m and 1 are supported with the cpu resource`}},
		{name: "env keys", container: "env: [{name: A, valueFrom: {configMapKeyRef: {key: a/b}}}, {name: B, valueFrom: {secretKeyRef: {name: s}}}]", want: []string{
			"spec.containers[0].env[0].valueFrom.configMapKeyRef.name: Required value",
			`spec.containers[0].env[0].valueFrom.configMapKeyRef.key: Invalid value: "a/b": a valid config key`,
			"spec.containers[0].env[1].valueFrom.secretKeyRef.key: Required value"}},
		{name: "envFrom", container: "envFrom: [{prefix: x}]", want: []string{
			"spec.containers[0].envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`"}},
		{name: "resources", container: "resources: {requests: {cpu: 2, memory: -1}, limits: {cpu: 1, gpu: 1, example.com/gpu: 500m}}", want: []string{
			`spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1`,
			`spec.containers[0].resources.requests[memory]: Invalid value: "-1": must be greater than or equal to 0`,
			`spec.containers[0].resources.limits[gpu]: Invalid value: "gpu": must be a standard resource type or fully qualified`,
			`spec.containers[0].resources.limits[gpu]: Invalid value: "gpu": must be a standard resource for containers`,
			`spec.containers[0].resources.limits[example.com/gpu]: Invalid value: "500m": must be an integer`,
			`spec.containers[0].resources.requests[gpu]: Invalid value: "gpu": must be a standard resource type or fully qualified`,
			`spec.containers[0].resources.requests[gpu]: Invalid value: "gpu": must be a standard resource for containers`,
			`spec.containers[0].resources.requests[example.com/gpu]: Invalid value: "500m": must be an integer`}},
		{name: "extended resource", container: "resources: {requests: {example.com/gpu: 1, cpu: 1}}", want: []string{
			"spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources"}},
		{name: "extended resource below limit", container: "resources: {requests: {example.com/gpu: 1}, limits: {example.com/gpu: 2}}", want: []string{
			`spec.containers[0].resources.requests: Invalid value: "1": must be equal to example.com/gpu limit of 2`}},
		{name: "huge pages", container: "resources: {limits: {hugepages-2Mi: 2Mi}}", want: []string{
			"spec.containers[0].resources: Forbidden: HugePages require cpu or memory"}},
		{name: "mounts", spec: "volumes: [{name: v, emptyDir: {}}]", container: "volumeMounts: [{name: w, mountPath: /a}, {name: v, mountPath: /a}, {name: v}, {name: v, mountPath: /b, subPath: ../x}, {name: v, mountPath: /c, subPath: /x}, {name: v, mountPath: /d, mountPropagation: Bidirectional}]", want: []string{
			`spec.containers[0].volumeMounts[0].name: Not found: "w"`,
			`spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/a": must be unique`,
			`spec.containers[0].volumeMounts[2].mountPath: Required value`,
			`spec.containers[0].volumeMounts[3].subPath: Invalid value: "../x": must not contain '..'`,
			`spec.containers[0].volumeMounts[4].subPath: Invalid value: "/x": must be a relative path`,
			"spec.containers[0].volumeMounts[5].mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers"}},
		{name: "probes", container: "livenessProbe: {successThreshold: 2, exec: {command: []}}\nreadinessProbe: {tcpSocket: {port: -1}, httpGet: {port: 80}, periodSeconds: -1, terminationGracePeriodSeconds: 3}\nstartupProbe: {initialDelaySeconds: 1}", want: []string{
			"spec.containers[0].livenessProbe.exec.command: Required value",
			"spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
			"spec.containers[0].readinessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
			"spec.containers[0].readinessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
			"spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 3: must not be set for readinessProbes",
			"spec.containers[0].startupProbe: Required value: must specify a handler type"}},
		{name: "http probe", container: "livenessProbe: {httpGet: {port: no port, scheme: FTP, httpHeaders: [{name: 'a b'}]}}", want: []string{
			`spec.containers[0].livenessProbe.httpGet.port: Invalid value: "no port": must contain only alpha-numeric characters`,
			`spec.containers[0].livenessProbe.httpGet.scheme: Unsupported value: "FTP": supported values: "HTTP", "HTTPS"`,
			`spec.containers[0].livenessProbe.httpGet.httpHeaders: Invalid value: "a b": a valid HTTP header`}},
		{name: "lifecycle", container: "lifecycle: {postStart: {}, preStop: {sleep: {seconds: 31}}}", want: []string{
			"spec.containers[0].lifecycle.postStart: Required value: must specify a handler type",
			"spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)"}},
		{name: "security context", container: "securityContext: {runAsUser: -1, privileged: true, allowPrivilegeEscalation: false}", want: []string{
			"spec.containers[0].securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
			"spec.containers[0].securityContext: Invalid value: "}},
		{name: "restart rules", container: "restartPolicyRules: [{action: Restart}]", want: []string{
			"spec.containers[0].restartPolicy: Required value: must specify restartPolicy when restart rules are used"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			container := test.container
			manifest := podManifest(test.spec, container)
			// A line given for the container replaces the one of the frame.
			for _, key := range []string{"name", "image"} {
				if strings.HasPrefix(container, key+":") {
					frame := map[string]string{"name": "  - name: c\n    image", "image": "\n    image: i\n"}[key]
					if key == "name" {
						manifest = strings.Replace(manifest, frame, "  - image", 1)
					} else {
						manifest = strings.Replace(manifest, frame, "\n", 1)
					}
				}
			}
			pod := decode[corev1.Pod](t, manifest)
			wantErrors(t, ValidatePodCreate(context.Background(), pod), test.want)
		})
	}
}

func TestPodVolumeValidation(t *testing.T) {
	tests := []struct {
		name, volume string
		want         []string
	}{
		{"empty means emptyDir", "name: v", nil},
		{"two sources", "name: v\nhostPath: {path: /x}\nemptyDir: {}", []string{
			"spec.volumes[0].emptyDir: Forbidden: may not specify more than 1 volume type"}},
		{"no name", "emptyDir: {}", []string{"spec.volumes[0].name: Required value"}},
		{"bad name", "name: V_1", []string{`spec.volumes[0].name: Invalid value: "V_1": a lowercase RFC 1123 label`}},
		{"hostPath", "name: v\nhostPath: {path: /a/../b, type: Pipe}", []string{
			`spec.volumes[0].hostPath.path: Invalid value: "/a/../b": must not contain '..'`,
			`spec.volumes[0].hostPath.type: Unsupported value: "Pipe": supported values: "", "BlockDevice"`}},
		{"emptyDir", "name: v\nemptyDir: {sizeLimit: -1}", []string{
			"spec.volumes[0].emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity"}},
		{"configMap", "name: v\nconfigMap: {defaultMode: 511, items: [{key: '', path: ../x}, {key: k, path: ..x, mode: 512}]}", []string{
			"spec.volumes[0].configMap.name: Required value",
			"spec.volumes[0].configMap.items[0].key: Required value",
			"spec.volumes[0].configMap.items[0].path: Invalid value: \"../x\": must not contain '..'",
			"spec.volumes[0].configMap.items[1].path: Invalid value: \"..x\": must not start with '..'",
			"spec.volumes[0].configMap.items[1].mode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive"}},
		{"secret", "name: v\nsecret: {}", []string{"spec.volumes[0].secret.secretName: Required value"}},
		{"claim", "name: v\npersistentVolumeClaim: {}", []string{"spec.volumes[0].persistentVolumeClaim.claimName: Required value"}},
		{"downwardAPI", "name: v\ndownwardAPI: {items: [{path: a}, {path: b, fieldRef: {fieldPath: status.podIP}}, {path: c, resourceFieldRef: {resource: limits.cpu}}]}", []string{
			"spec.volumes[0].downwardAPI.items[0]: Required value: one of fieldRef and resourceFieldRef is required",
			`spec.volumes[0].downwardAPI.items[1].fieldRef.fieldPath: Unsupported value: "status.podIP": supported values: "metadata.annotations"`,
			"spec.volumes[0].downwardAPI.items[2].resourceFieldRef.containerName: Required value"}},
		{"projected", "name: v\nprojected: {sources: [{serviceAccountToken: {path: '', expirationSeconds: 1}}, {secret: {name: s, items: [{key: a, path: x}]}}, {configMap: {name: c, items: [{key: a, path: x}]}}, {secret: {name: s}, configMap: {name: c}}]}", []string{
			"spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 1: may not specify a duration less than 10 minutes",
			"spec.volumes[0].projected.sources[0].serviceAccountToken.path: Required value",
			`spec.volumes[0].projected.sources[2].configMap: Invalid value: "x": conflicting duplicate paths`,
			"spec.volumes[0].projected.sources[3].configMap: Forbidden: may not specify more than 1 volume type"}},
		{"nfs", "name: v\nnfs: {path: a}", []string{
			"spec.volumes[0].nfs.server: Required value",
			`spec.volumes[0].nfs.path: Invalid value: "a": must be an absolute path`}},
		{"ephemeral", "name: v\nephemeral: {}", []string{"spec.volumes[0].ephemeral.volumeClaimTemplate: Required value"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			lines := strings.ReplaceAll(test.volume, "\n", "\n  ")
			pod := decode[corev1.Pod](t, podManifest("volumes:\n- "+lines, ""))
			wantErrors(t, ValidatePodCreate(context.Background(), pod), test.want)
		})
	}
}

func TestPodSchedulingValidation(t *testing.T) {
	tests := []struct {
		name, spec string
		want       []string
	}{
		{"tolerations", "tolerations: [{value: x}, {key: a, operator: Exists, value: v}, {key: a, operator: In}, {key: a, operator: Exists, effect: Never}, {key: a, operator: Exists, effect: NoSchedule, tolerationSeconds: 1}, {operator: Exists}]", []string{
			"spec.tolerations[0].operator: Invalid value: \"\": operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
			"spec.tolerations[1].operator: Invalid value: ",
			`spec.tolerations[2].operator: Unsupported value: "In": supported values: "Equal", "Exists"`,
			`spec.tolerations[3].effect: Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"`,
			`spec.tolerations[4].effect: Invalid value: "NoSchedule": effect must be 'NoExecute' when ` + "`tolerationSeconds` is set"}},
		{"node affinity", "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: In}, {key: a, operator: Exists, values: [x]}, {key: a, operator: Gt}, {key: a, operator: Like}], matchFields: [{key: spec.x, operator: In, values: [a]}]}]}, preferredDuringSchedulingIgnoredDuringExecution: [{weight: 0, preference: {}}]}}", []string{
			"spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
			"spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
			"spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[2].values: Required value: must be specified single value when `operator` is 'Lt' or 'Gt'",
			`spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[3].operator: Invalid value: "Like": not a valid selector operator`,
			`spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields[0].key: Invalid value: "spec.x": not a valid field selector key`,
			"spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 0: must be in the range 1-100"}},
		{"no terms", "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {}}}", []string{
			"spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least one node selector term"}},
		{"pod affinity", "affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{namespaces: [A]}], preferredDuringSchedulingIgnoredDuringExecution: [{weight: 101, podAffinityTerm: {topologyKey: x, labelSelector: {matchExpressions: [{key: a, operator: In}]}}}]}}", []string{
			"spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Required value: can not be empty",
			`spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].namespace: Invalid value: "A": a lowercase RFC 1123 label`,
			"spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 101: must be in the range 1-100",
			"spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.labelSelector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"}},
		{"topology spread", "topologySpreadConstraints: [{maxSkew: 0, topologyKey: z, whenUnsatisfiable: Shrug}, {maxSkew: 1, topologyKey: z, whenUnsatisfiable: ScheduleAnyway, minDomains: 1}, {maxSkew: 1, topologyKey: z, whenUnsatisfiable: ScheduleAnyway, matchLabelKeys: [app]}]", []string{
			"spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
			`spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: "Shrug": supported values: "DoNotSchedule", "ScheduleAnyway"`,
			"spec.topologySpreadConstraints[1].minDomains: Invalid value: 1: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway",
			`spec.topologySpreadConstraints[2].{topologyKey, whenUnsatisfiable}: Duplicate value: "{z, ScheduleAnyway}"`,
			"spec.topologySpreadConstraints[2].matchLabelKeys: Forbidden: must not be specified when labelSelector is not set"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			pod := decode[corev1.Pod](t, podManifest(test.spec, ""))
			wantErrors(t, ValidatePodCreate(context.Background(), pod), test.want)
		})
	}
}

func TestPodNeedsContainers(t *testing.T) {
	pod := decode[corev1.Pod](t, "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: default}\nspec: {}")
	wantErrors(t, ValidatePodCreate(context.Background(), pod), []string{"spec.containers: Required value"})
}

func TestTemplateHasNoEphemeralContainers(t *testing.T) {
	template := &corev1.PodTemplateSpec{Spec: decode[corev1.Pod](t, podManifest("ephemeralContainers: [{name: d, image: i, ports: [{containerPort: 1}]}]", "")).Spec}
	wantErrors(t, ValidatePodTemplateSpec(template, rules.Template), []string{
		"spec.template.spec.ephemeralContainers: Forbidden: ephemeral containers not allowed in pod template",
		"spec.template.spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container"})
}
