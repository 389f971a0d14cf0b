package storage

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
)

// newCodec returns the codec that writes objects of version gv in mediaType and
// reads whatever was stored, and the versioner of what it writes.
func newCodec(serializer runtime.StorageSerializer, mediaType string, gv schema.GroupVersion, config storagebackend.Config) (runtime.Codec, runtime.GroupVersioner, error) {
	codec, versioner, err := serverstorage.NewStorageCodec(serverstorage.StorageCodecConfig{
		StorageMediaType:  mediaType,
		StorageSerializer: serializer,
		StorageVersion:    gv,
		MemoryVersion:     schema.GroupVersion{Group: gv.Group, Version: runtime.APIVersionInternal},
		Config:            config,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("building the storage codec of %s: %w", gv, err)
	}
	return kindlessCodec{codec}, versioner, nil
}

// kindlessCodec clears apiVersion and kind of what it decodes. With one Go type
// per kind a decoder finds that the target already is the stored type and leaves
// the TypeMeta as it was read; lists would then show it in each of their items.
type kindlessCodec struct{ runtime.Codec }

func (c kindlessCodec) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	obj, gvk, err := c.Codec.Decode(data, defaults, into)
	if err == nil {
		obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	}
	return obj, gvk, err
}
