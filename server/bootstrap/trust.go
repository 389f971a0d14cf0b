package bootstrap

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/kubernetes"
)

const trustConfigMap = "extension-apiserver-authentication"

// Trust ensures ConfigMap kube-system/extension-apiserver-authentication, from
// which extension API servers learn the CA of client certificates and how the
// front proxy passes users on. Either source may be nil.
func Trust(client kubernetes.Interface, clientCA dynamiccertificates.CAContentProvider, proxy *authenticatorfactory.RequestHeaderConfig) Ensure {
	return func(ctx context.Context) error {
		want, err := trustData(clientCA, proxy)
		if err != nil || len(want) == 0 {
			return err
		}
		if err := ensureNamespace(ctx, client, metav1.NamespaceSystem); err != nil {
			return err
		}
		configMaps := client.CoreV1().ConfigMaps(metav1.NamespaceSystem)
		have, err := configMaps.Get(ctx, trustConfigMap, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			_, err = configMaps.Create(ctx, &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Name: trustConfigMap, Namespace: metav1.NamespaceSystem},
				Data:       want,
			}, metav1.CreateOptions{})
			if err != nil && !apierrors.IsAlreadyExists(err) {
				return fmt.Errorf("creating config map %s: %w", trustConfigMap, err)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("looking up config map %s: %w", trustConfigMap, err)
		}
		changed := have.DeepCopy()
		if changed.Data == nil {
			changed.Data = map[string]string{}
		}
		maps.Copy(changed.Data, want)
		if maps.Equal(changed.Data, have.Data) {
			return nil
		}
		if _, err := configMaps.Update(ctx, changed, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("updating config map %s: %w", trustConfigMap, err)
		}
		return nil
	}
}

func trustData(clientCA dynamiccertificates.CAContentProvider, proxy *authenticatorfactory.RequestHeaderConfig) (map[string]string, error) {
	data := map[string]string{}
	if clientCA != nil {
		data["client-ca-file"] = string(clientCA.CurrentCABundleContent())
	}
	if proxy == nil {
		return data, nil
	}
	data["requestheader-client-ca-file"] = string(proxy.CAContentProvider.CurrentCABundleContent())
	for key, values := range map[string][]string{
		"requestheader-username-headers":     proxy.UsernameHeaders.Value(),
		"requestheader-uid-headers":          proxy.UIDHeaders.Value(),
		"requestheader-group-headers":        proxy.GroupHeaders.Value(),
		"requestheader-extra-headers-prefix": proxy.ExtraHeaderPrefixes.Value(),
		"requestheader-allowed-names":        proxy.AllowedClientNames.Value(),
	} {
		if values == nil {
			values = []string{}
		}
		text, err := json.Marshal(values)
		if err != nil {
			return nil, fmt.Errorf("encoding %s: %w", key, err)
		}
		data[key] = string(text)
	}
	return data, nil
}
