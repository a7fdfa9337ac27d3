// jspeer: a js-libp2p node that tests talk to; flags and output are those of ../README.md.
import fs from 'node:fs'
import { parseArgs } from 'node:util'
import { createLibp2p } from 'libp2p'
import { circuitRelayServer, circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { identify, identifyPush } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import { serveChanges } from './changes.mjs'
import { dialAndTry, kDialFlags, kEcho, kPerf, kReset, sendZeros } from './dialler.mjs'
import { join, kKadFlags, look, table } from './kad.mjs'

const { values: flags } = parseArgs({
  options: {
    ...kDialFlags,
    ...kKadFlags,
    listen: { type: 'string' },
    sec: { type: 'string', default: 'noise' },
    port: { type: 'string', default: '0' },
    relay: { type: 'string' }, // limited or unlimited: be a relay whose circuits are
    reserve: { type: 'string' }, // multiaddr of a relay to be reached through
    addrfile: { type: 'string' }
  }
})

// ---- what it serves

async function serveEcho (stream) {
  try {
    for await (const part of stream) {
      if (!stream.send(part)) await stream.onDrain()
    }
    console.log('HALF-CLOSED')
    await stream.close()
  } catch (error) {
    console.log('RESET', error.message)
    stream.abort(error)
  }
}

async function serveReset (stream) {
  for await (const part of stream) if (part.byteLength > 0) break
  stream.abort(new Error('asked to reset'))
}

async function servePerf (stream) {
  const head = []
  for await (const part of stream) if (head.length < 8) head.push(...part.subarray(0, 8 - head.length))
  await sendZeros(stream, Number(new DataView(Uint8Array.from(head).buffer).getBigUint64(0)))
  await stream.close()
}

const listenAddress = flags.listen === 'quic'
  ? `/ip4/127.0.0.1/udp/${flags.port}/quic-v1`
  : `/ip4/127.0.0.1/tcp/${flags.port}` + (flags.listen === 'tcp' ? '' : `/${flags.listen}`)
// A native library with two sockets of its own: only where it is used.
const speaksQuic = flags.listen === 'quic' || [flags.dial, flags.reserve].some((address) => address?.includes('/quic-v1'))
const quics = speaksQuic ? [(await import('@chainsafe/libp2p-quic')).quic()] : []
const https = flags['tls-certificate'] && {
  cert: fs.readFileSync(flags['tls-certificate']), key: fs.readFileSync(flags['tls-key'])
}
const kKeys = { ed25519: 'Ed25519', rsa: 'RSA', secp256k1: 'secp256k1' } // peer ids of ECDSA keys are not made
const node = await createLibp2p({
  nodeInfo: { userAgent: 'jspeer/0.1' },
  privateKey: await generateKeyPair(kKeys[flags.key], flags.key === 'rsa' ? 2048 : undefined),
  addresses: {
    listen: [...(flags.listen ? [listenAddress] : []), ...(flags.reserve ? [`${flags.reserve}/p2p-circuit`] : [])]
  },
  transports: [tcp(), webSockets({ https }), ...quics, circuitRelayTransport()],
  connectionEncrypters: [flags.sec === 'tls' ? tls() : noise()],
  streamMuxers: [yamux({ maxInboundStreams: 2000, maxOutboundStreams: 2000, maxEarlyStreams: 2000 })],
  services: {
    identify: identify(),
    identifyPush: identifyPush(),
    ping: ping({ maxOutboundStreams: 20 }),
    ...(flags.kad && { dht: table(flags.listen != null) }),
    ...(flags.relay && { relay: circuitRelayServer({ reservations: { applyDefaultLimit: flags.relay === 'limited' } }) })
  },
  connectionGater: { denyDialMultiaddr: () => false },
  connectionManager: { inboundConnectionThreshold: 1000 }
})
await node.handle(kEcho, serveEcho, { maxInboundStreams: 1000, maxOutboundStreams: 1000 })
await node.handle(kReset, serveReset)
await node.handle(kPerf, servePerf)
await serveChanges(node, serveEcho)

if (flags.dial) {
  const { version } = JSON.parse(fs.readFileSync('node_modules/libp2p/package.json'))
  console.log(JSON.stringify({ ...await dialAndTry(node, flags, look), version: `js-libp2p ${version}` }))
  process.exit(0)
}
if (flags['kad-join']) await join(node, flags['kad-join'])
const isReached = () => node.getMultiaddrs().some((address) => address.toString().includes('/p2p-circuit'))
for (let i = 0; flags.reserve && !isReached() && i < 300; i++) await new Promise((resolve) => setTimeout(resolve, 100))
const lines = node.getMultiaddrs().map((address) => address + '\n').join('')
process.stdout.write(lines)
if (flags.addrfile) {
  fs.writeFileSync(flags.addrfile + '.new', lines)
  fs.renameSync(flags.addrfile + '.new', flags.addrfile)
}
process.on('SIGTERM', () => process.exit(0))
