// What --kad adds: a table node under /interop/kad/1.0.0, its values and providers.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multihash"
)

const (
	kadPrefix   = "/interop"       // of the protocol, /interop/kad/1.0.0
	kadValueKey = "/interop/value" // holds "N from LIBRARY"
	kadOffer    = "interop"        // what is provided: the key is the hash of these bytes
)

// numbered takes values that begin with a digit; the higher one wins.
type numbered struct{}

func (numbered) Validate(_ string, value []byte) error {
	if len(value) == 0 || value[0] < '0' || value[0] > '9' {
		return errors.New("a value does not begin with a digit")
	}
	return nil
}

func (numbered) Select(_ string, values [][]byte) (int, error) {
	best := 0
	for i, value := range values {
		if value[0] > values[best][0] {
			best = i
		}
	}
	return best, nil
}

func newTable(h host.Host, isServer bool) (*dht.IpfsDHT, error) {
	mode := dht.ModeClient
	if isServer {
		mode = dht.ModeServer
	}
	return dht.New(h, dht.Mode(mode), dht.ProtocolPrefix(kadPrefix), dht.BootstrapPeers(),
		dht.NamespacedValidator("interop", numbered{}))
}

func offerKey() (cid.Cid, error) {
	hash, err := multihash.Sum([]byte(kadOffer), multihash.SHA2_256, -1)
	return cid.NewCidV1(cid.Raw, hash), err
}

func keyOf(id peer.ID) string { return "/pk/" + string(id) }

// Until the connected peer is in the table.
func awaitPeer(ctx context.Context, d *dht.IpfsDHT) error {
	for d.RoutingTable().Size() == 0 {
		select {
		case <-ctx.Done():
			return errors.New("the table stays empty")
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// Joins through the node at `address`, puts the value and the own key, and provides.
func join(h host.Host, d *dht.IpfsDHT, address string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	parsed, err := ma.NewMultiaddr(address)
	if err != nil {
		return err
	}
	first, err := peer.AddrInfoFromP2pAddr(parsed)
	if err != nil {
		return err
	}
	if err = h.Connect(ctx, *first); err != nil {
		return err
	}
	if err = awaitPeer(ctx, d); err != nil {
		return err
	}
	if err = d.PutValue(ctx, kadValueKey, []byte("1 from go")); err != nil {
		return fmt.Errorf("putting a value: %w", err)
	}
	own, err := crypto.MarshalPublicKey(h.Peerstore().PubKey(h.ID()))
	if err != nil {
		return err
	}
	if err = d.PutValue(ctx, keyOf(h.ID()), own); err != nil {
		return fmt.Errorf("putting a key: %w", err)
	}
	key, err := offerKey()
	if err != nil {
		return err
	}
	return d.Provide(ctx, key, true)
}

// Asks the table of the connected node for another one, and for what that one has put and provides.
func (d *dialler) kad(table *dht.IpfsDHT, wanted string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	id, err := peer.Decode(wanted)
	if err != nil {
		return err
	}
	if err = awaitPeer(ctx, table); err != nil {
		return err
	}
	value, err := table.GetValue(ctx, kadValueKey)
	if err != nil {
		return fmt.Errorf("getting a value: %w", err)
	}
	d.out["kad_value"] = string(value)
	key, err := table.GetValue(ctx, keyOf(id))
	if err != nil {
		return fmt.Errorf("getting a key: %w", err)
	}
	public, err := crypto.UnmarshalPublicKey(key)
	d.out["kad_key_ok"] = err == nil && id.MatchesPublicKey(public)
	offered, err := offerKey()
	if err != nil {
		return err
	}
	providers, err := table.FindProviders(ctx, offered)
	if err != nil {
		return fmt.Errorf("finding providers: %w", err)
	}
	found := map[string]string{}
	for _, provider := range providers {
		found[provider.ID.String()] = fmt.Sprint(provider.Addrs)
	}
	d.out["kad_providers"] = found
	info, err := table.FindPeer(ctx, id)
	if err != nil {
		return fmt.Errorf("finding a peer: %w", err)
	}
	d.out["kad_addresses"] = fmt.Sprint(info.Addrs)
	newer := []byte("2 from go")
	if err = table.PutValue(ctx, kadValueKey, newer); err != nil {
		return fmt.Errorf("putting a newer value: %w", err)
	}
	value, err = table.GetValue(ctx, kadValueKey)
	if err != nil {
		return fmt.Errorf("getting the newer value: %w", err)
	}
	d.out["kad_replaced"] = bytes.Equal(value, newer)
	return nil
}
