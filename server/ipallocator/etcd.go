package ipallocator

import (
	"context"
	"fmt"
	"path"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// etcdKeys keeps taken items as keys below one prefix.
type etcdKeys struct {
	client *clientv3.Client
	prefix string
}

// NewKeys returns the items below etcdPrefix/ranges/name.
func NewKeys(client *clientv3.Client, etcdPrefix, name string) Keys {
	return &etcdKeys{client: client, prefix: path.Join("/", etcdPrefix, "ranges", name) + "/"}
}

func (k *etcdKeys) Create(ctx context.Context, item, owner string) (bool, error) {
	key := k.prefix + item
	response, err := k.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
		Then(clientv3.OpPut(key, owner)).
		Commit()
	if err != nil {
		return false, fmt.Errorf("taking %s: %w", item, err)
	}
	return response.Succeeded, nil
}

func (k *etcdKeys) Owner(ctx context.Context, item string) (string, error) {
	response, err := k.client.Get(ctx, k.prefix+item)
	if err != nil {
		return "", fmt.Errorf("looking up %s: %w", item, err)
	}
	if len(response.Kvs) == 0 {
		return "", nil
	}
	return string(response.Kvs[0].Value), nil
}

func (k *etcdKeys) Delete(ctx context.Context, item, owner string) error {
	key := k.prefix + item
	_, err := k.client.Txn(ctx).
		If(clientv3.Compare(clientv3.Value(key), "=", owner)).
		Then(clientv3.OpDelete(key)).
		Commit()
	if err != nil {
		return fmt.Errorf("giving back %s: %w", item, err)
	}
	return nil
}

func (k *etcdKeys) List(ctx context.Context) ([]Taken, error) {
	response, err := k.client.Get(ctx, k.prefix, clientv3.WithPrefix())
	if err != nil {
		return nil, fmt.Errorf("listing what is taken: %w", err)
	}
	taken := make([]Taken, 0, len(response.Kvs))
	for _, kv := range response.Kvs {
		taken = append(taken, Taken{
			Item:     strings.TrimPrefix(string(kv.Key), k.prefix),
			Owner:    string(kv.Value),
			Revision: kv.ModRevision,
		})
	}
	return taken, nil
}
