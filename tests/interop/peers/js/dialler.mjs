// What a dialler tries, in Node and in a page; flags and report are those of ../README.md.
import { multiaddr } from '@multiformats/multiaddr'
import { leave, news } from './changes.mjs'
import { requests } from './measure.mjs'

export const kDialFlags = { // for parseArgs()
  dial: { type: 'string' },
  key: { type: 'string', default: 'ed25519' },
  pings: { type: 'string', default: '5' },
  'echo-mib': { type: 'string', default: '0' },
  streams: { type: 'string', default: '0' },
  resets: { type: 'boolean', default: false },
  changes: { type: 'boolean', default: false }, // see a protocol that comes, and a peer that leaves
  'first-bytes': { type: 'string', default: '0' },
  requests: { type: 'string', default: '0' },
  'perf-streams': { type: 'string', default: '1' }, // that share perf-mib
  'perf-mib': { type: 'string', default: '0' },
  'tls-certificate': { type: 'string' },
  'tls-key': { type: 'string' },
  'tls-authorities': { type: 'string' } // Node takes them from NODE_EXTRA_CA_CERTS
}

export const kEcho = '/echo/1.0.0'
export const kReset = '/interop/reset/1.0.0'
export const kPerf = '/perf/1.0.0'
const kStreamsBytes = 15_000_000 // of all of --streams
const kPatience = 60_000 // ms, for any one thing
const chunk = new Uint8Array(1 << 16)

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

// Sends all of `bytes`, waiting where the stream is full.
async function sendAll (stream, bytes) {
  for (let at = 0; at < bytes.length; at += chunk.length) {
    if (!stream.send(bytes.subarray(at, at + chunk.length))) await stream.onDrain({ signal: AbortSignal.timeout(kPatience) })
  }
}

export async function sendZeros (stream, count) {
  for (; count > 0; count -= chunk.length) {
    if (!stream.send(chunk.subarray(0, Math.min(count, chunk.length)))) await stream.onDrain({ signal: AbortSignal.timeout(kPatience) })
  }
}

function randomBytes (size) {
  const bytes = new Uint8Array(size)
  for (let at = 0; at < size; at += chunk.length) crypto.getRandomValues(bytes.subarray(at, at + chunk.length))
  return bytes
}

// What the stream gives to its end, at most `size` bytes of it, and how many bytes those were.
async function readAll (stream, size) {
  const bytes = new Uint8Array(size)
  let count = 0
  for await (const part of stream) {
    if (count + part.byteLength <= size) bytes.set(part.subarray(), count)
    count += part.byteLength
  }
  return { bytes, count }
}

const isSame = ({ bytes, count }, sent) => count === sent.length && bytes.every((byte, index) => byte === sent[index])

const out = { impl: 'js', failures: {} }

function noteTimes (name, times) {
  if (times.length === 0) return
  times.sort((a, b) => a - b)
  out[name + '_min'] = times[0]
  out[name + '_median'] = times[times.length >> 1]
}

async function trying (what, action) {
  try {
    await Promise.race([action(), pause(kPatience).then(() => { throw new Error('no end within a minute') })])
  } catch (error) {
    out.failures[what] = String(error?.message ?? error)
  }
}

// From nothing to the first byte of an answer, over a new connection each time.
async function firstBytes (node, target, rounds) {
  const dials = []
  const firsts = []
  for (let i = 0; i < rounds; i++) {
    const begin = performance.now()
    const connection = await node.dial(target, { signal: AbortSignal.timeout(kPatience) })
    dials.push(performance.now() - begin)
    const stream = await connection.newStream(kEcho)
    stream.send(chunk.subarray(0, 1))
    for await (const part of stream) if (part.byteLength > 0) break
    firsts.push(performance.now() - begin)
    await connection.close()
    await pause(30)
  }
  noteTimes('handshake_ms', dials)
  noteTimes('first_byte_ms', firsts)
}

async function connect (node, target) {
  // A relay on the way is identified, too.
  const identified = new Promise((resolve) => node.addEventListener('peer:identify', ({ detail }) => {
    if (target.toString().endsWith(detail.peerId.toString())) resolve(detail)
  }))
  const begin = performance.now()
  const connection = await node.dial(target, { signal: AbortSignal.timeout(kPatience) })
  out.connect_ms = performance.now() - begin
  out.security = connection.encryption
  out.muxer = connection.multiplexer
  out.limited = connection.limits != null
  out.remote = connection.remoteAddr.toString()
  const told = await Promise.race([identified, pause(5000)])
  if (told == null) throw new Error('identify: no answer')
  out.agent = told.agentVersion
  out.protocols = told.protocols
  out.signed_record = told.signedPeerRecord != null
  out.observed = String(told.observedAddr)
  out.addresses = told.listenAddrs.map(String)
  return connection
}

async function pings (node, connection, count) {
  const times = []
  for (let i = 0; i < count; i++) times.push(await node.services.ping.ping(connection.remotePeer, { signal: AbortSignal.timeout(kPatience) }))
  out.pings = times.length
  noteTimes('ping_ms', times)
}

// Sends random bytes, half-closes, and reads them all back, both at the same time.
async function echo (connection, mib) {
  const sent = randomBytes(mib << 20)
  const stream = await connection.newStream(kEcho)
  const begin = performance.now()
  const reading = readAll(stream, sent.length)
  await sendAll(stream, sent)
  await stream.close({ signal: AbortSignal.timeout(kPatience) })
  const got = await reading
  const time = performance.now() - begin
  out.echo_ok = isSame(got, sent)
  if (got.count !== sent.length) throw new Error(`${got.count} bytes of ${sent.length} came back`)
  out.half_close_seen = true // or the peer would not have ended its side
  out.echo_mib_s = mib / time * 1000
}

// Many streams beside each other, each with its own bytes, once all are open.
async function streams (connection, count) {
  const opened = await Promise.all(Array.from({ length: count }, () => connection.newStream(kEcho)))
  const one = async (stream, value) => {
    const sent = new Uint8Array(Math.floor(kStreamsBytes / count)).fill(value)
    const reading = readAll(stream, sent.length)
    await sendAll(stream, sent)
    await stream.close({ signal: AbortSignal.timeout(kPatience) })
    if (!isSame(await reading, sent)) throw new Error('other bytes came back')
  }
  await Promise.all(opened.map((stream, index) => one(stream, index % 256)))
  out.streams = count
}

async function reset (connection) {
  let stream = await connection.newStream(kReset)
  stream.send(chunk.subarray(0, 1))
  try {
    for await (const part of stream) if (part.byteLength > 0) break
    out.reset_seen = false
  } catch (error) {
    out.reset_seen = error.name === 'StreamResetError'
  }
  // And the other way: our reset ends that stream alone.
  stream = await connection.newStream(kEcho)
  stream.send(chunk.subarray(0, 1))
  stream.abort(new Error('tried'))
  stream = await connection.newStream(kEcho)
  await stream.close()
}

// MiB/s of `count` streams beside each other, which share the bytes.
async function perf (connection, count, up, down) {
  const begin = performance.now()
  await Promise.all(Array.from({ length: count }, () => perfStream(connection, Math.floor(up / count), Math.floor(down / count))))
  return (up + down) / (1 << 20) / (performance.now() - begin) * 1000
}

async function perfStream (connection, up, down) {
  const stream = await connection.newStream(kPerf)
  const head = new Uint8Array(8)
  new DataView(head.buffer).setBigUint64(0, BigInt(down))
  let got = 0
  const reading = (async () => { for await (const part of stream) got += part.byteLength })()
  stream.send(head)
  await sendZeros(stream, up)
  await stream.close({ signal: AbortSignal.timeout(kPatience) })
  await reading
  if (got !== down) throw new Error(`${got} bytes of ${down} came`)
}

// `flags` as text, as they are given; the report.
export async function dialAndTry (node, flags, look) {
  const target = multiaddr(flags.dial)
  const rounds = Number(flags['first-bytes'])
  if (rounds > 0) await trying('first bytes', () => firstBytes(node, target, rounds))
  let connection
  await trying('connect', async () => { connection = await connect(node, target) })
  if (connection != null) {
    await trying('ping', () => pings(node, connection, Number(flags.pings)))
    const echoMib = Number(flags['echo-mib'])
    if (echoMib > 0) await trying('echo', () => echo(connection, echoMib))
    const count = Number(flags.streams)
    if (count > 0) await trying('streams', () => streams(connection, count))
    if (flags.resets) await trying('reset', () => reset(connection))
    if (flags['kad-peer']) await trying('kad', () => look(node, flags['kad-peer'], out))
    const requested = Number(flags.requests)
    if (requested > 0) {
      await trying('requests', async () => { [out.request_us_p50, out.request_us_p99] = await requests(connection, kEcho, requested) })
    }
    const beside = Number(flags['perf-streams'])
    const bytes = Number(flags['perf-mib']) << 20
    if (bytes > 0) {
      await trying('perf up', async () => { out.perf_up_mib_s = await perf(connection, beside, bytes, 0) })
      await trying('perf down', async () => { out.perf_down_mib_s = await perf(connection, beside, 0, bytes) })
    }
    if (flags.changes) {
      await trying('news', () => news(node, connection, out))
      await trying('leaving', () => leave(connection, out))
    }
  }
  return out
}
