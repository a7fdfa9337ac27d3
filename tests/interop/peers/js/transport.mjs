// A js-libp2p node that follows the environment of libp2p's own transport tests; see ../README.md.
import net from 'node:net'
import { noise } from '@libp2p/noise'
import { identify } from '@libp2p/identify'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import { quic } from '@chainsafe/libp2p-quic'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'

const variable = (name, other, fallback) => process.env[name] ?? process.env[other] ?? fallback
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

const testKey = process.env.TEST_KEY
const [tell, learn, key] = testKey === undefined
  ? ['RPUSH', 'LPOP', 'listenerAddr']
  : ['SET', 'GET', `${testKey}_listener_multiaddr`]
const isDialer = variable('is_dialer', 'IS_DIALER', 'false') === 'true'
const transport = variable('transport', 'TRANSPORT', '')
const ip = variable('ip', 'LISTENER_IP', '0.0.0.0')
const end = Date.now() + 1000 * Number(variable('test_timeout_seconds', 'TEST_TIMEOUT_SECS', '180'))

// One command of Redis, and its answer where that is a string. Answers fit into one read.
async function redis (...words) {
  const [host, port] = variable('redis_addr', 'REDIS_ADDR', 'redis:6379').split(':')
  const socket = net.connect(Number(port), host)
  socket.write(`*${words.length}\r\n` + words.map(word => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join(''))
  const answer = await new Promise((resolve, reject) => socket.once('data', resolve).once('error', reject))
  socket.destroy()
  const [head, text] = answer.toString().split('\r\n')
  if (head.startsWith('-')) throw new Error(`Redis: ${head}`)
  return head.startsWith('$') && head !== '$-1' ? text : undefined
}

const transports = { tcp: tcp(), ws: webSockets(), 'quic-v1': quic() }
const addresses = { tcp: `/ip4/${ip}/tcp/0`, ws: `/ip4/${ip}/tcp/0/ws`, 'quic-v1': `/ip4/${ip}/udp/0/quic-v1` }
const node = await createLibp2p({
  addresses: { listen: isDialer ? [] : [addresses[transport]] },
  transports: [transports[transport]],
  connectionEncrypters: [variable('security', 'SECURE_CHANNEL', '') === 'tls' ? tls() : noise()],
  streamMuxers: [yamux()],
  connectionGater: { denyDialMultiaddr: () => false },
  services: { identify: identify(), ping: ping() }
})

if (!isDialer) {
  await redis(tell, key, node.getMultiaddrs()[0].toString())
  await sleep(end - Date.now())
} else {
  let text
  while ((text = await redis(learn, key)) === undefined) {
    if (Date.now() > end) throw new Error('no listener told its address')
    await sleep(50)
  }
  const begin = performance.now()
  const connection = await node.dial(multiaddr(text))
  const rtt = await node.services.ping.ping(connection.remotePeer)
  const took = performance.now() - begin
  process.stdout.write(testKey === undefined
    ? JSON.stringify({ handshakePlusOneRTTMillis: took, pingRTTMilllis: rtt }) + '\n'
    : `latency:\n  handshake_plus_one_rtt: ${took.toFixed(3)}\n  ping_rtt: ${rtt.toFixed(3)}\n  unit: ms\n`)
}
await node.stop()
process.exit(0)
