// What --kad adds: a table node under /interop/kad/1.0.0, its values and providers.
import { publicKeyFromProtobuf, publicKeyToProtobuf } from '@libp2p/crypto/keys'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { peerIdFromPublicKey, peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { CID } from 'multiformats/cid'
import { sha256 } from 'multiformats/hashes/sha2'

const kCodeRaw = 0x55
const kPatience = 60_000 // ms, for any one thing
const encode = (text) => new TextEncoder().encode(text)
const decode = (bytes) => new TextDecoder().decode(bytes)
const valueKey = encode('/interop/value') // holds "N from LIBRARY"
const offerKey = async () => CID.createV1(kCodeRaw, await sha256.digest(encode('interop'))) // what is provided
const keyOf = (id) => Uint8Array.from([...encode('/pk/'), ...id.toMultihash().bytes])
const within = () => ({ signal: AbortSignal.timeout(kPatience) })

export const kKadFlags = { // for parseArgs()
  kad: { type: 'boolean', default: false },
  'kad-join': { type: 'string' },
  'kad-peer': { type: 'string' }
}

// Values begin with a digit; the higher one wins.
export const table = (isServer) => kadDHT({
  protocol: '/interop/kad/1.0.0',
  clientMode: !isServer,
  peerInfoMapper: passthroughMapper,
  validators: {
    interop: async (key, value) => { if (!/^\d/.test(decode(value))) throw new Error('a value does not begin with a digit') }
  },
  selectors: {
    interop: (key, values) => values.reduce((best, value, index) => value[0] > values[best][0] ? index : best, 0)
  }
})

// Until the connected peer is in the table.
async function awaitPeer (node) {
  const { signal } = within()
  while (node.services.dht.routingTable.size === 0) {
    signal.throwIfAborted()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

// Joins through the node at `address`, puts the value and the own key, and provides.
export async function join (node, address) {
  await node.dial(multiaddr(address), within())
  await awaitPeer(node)
  await node.contentRouting.put(valueKey, encode('1 from js'), within())
  await node.contentRouting.put(keyOf(node.peerId), publicKeyToProtobuf(node.peerId.publicKey), within())
  await node.contentRouting.provide(await offerKey(), within())
}

// Asks the table of the connected node for another one, and for what that one has put and provides; into `out`.
export async function look (node, wanted, out) {
  const id = peerIdFromString(wanted)
  await awaitPeer(node)
  out.kad_value = decode(await node.contentRouting.get(valueKey, within()))
  const key = publicKeyFromProtobuf(await node.contentRouting.get(keyOf(id), within()))
  out.kad_key_ok = id.equals(peerIdFromPublicKey(key))
  out.kad_providers = {}
  for await (const provider of node.contentRouting.findProviders(await offerKey(), within())) {
    out.kad_providers[provider.id.toString()] = provider.multiaddrs.join(' ')
  }
  out.kad_addresses = (await node.peerRouting.findPeer(id, within())).multiaddrs.join(' ')
  await node.contentRouting.put(valueKey, encode('2 from js'), within())
  out.kad_replaced = decode(await node.contentRouting.get(valueKey, within())) === '2 from js'
}
