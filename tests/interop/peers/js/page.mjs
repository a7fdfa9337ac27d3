// A js-libp2p node in a page: asks chromium.mjs what to dial, and posts the report.
import { createLibp2p } from 'libp2p'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import { dialAndTry } from './dialler.mjs'

async function run () {
  const flags = await (await fetch('/flags')).json()
  const node = await createLibp2p({
    addresses: { listen: [] },
    transports: [webSockets()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify(), ping: ping({ maxOutboundStreams: 20 }) },
    connectionGater: { denyDialMultiaddr: () => false } // or private addresses and /ws are denied
  })
  return await dialAndTry(node, flags)
}

const report = await run().catch((error) => ({ failures: { page: String(error?.stack ?? error) } }))
await fetch('/report', { method: 'POST', body: JSON.stringify({ ...report, version: navigator.userAgent }) })
