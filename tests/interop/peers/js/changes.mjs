// A protocol that comes later, told by identify push, and a peer that leaves; see ../README.md.
const kNews = '/interop/news/1.0.0'
const kLeave = '/interop/leave/1.0.0'
const kLater = 'interop-later'
const kTries = 500

const pause = ms => new Promise(resolve => setTimeout(resolve, ms))

export async function serveChanges (node, serveEcho) {
  await node.handle(kNews, async stream => {
    await node.handle(kLater, serveEcho)
    stream.send(new Uint8Array(1))
    await stream.close()
  })
  await node.handle(kLeave, async (stream, connection) => {
    for await (const part of stream) if (part.byteLength > 0) break
    await connection.close()
  })
}

async function becomesTrue (look) {
  for (let i = 0; i < kTries; i++) {
    if (await look()) return true
    await pause(20)
  }
  return false
}

export async function news (node, connection, out) {
  const asking = await connection.newStream(kNews)
  for await (const part of asking) if (part.byteLength > 0) break
  out.push_seen = await becomesTrue(async () => (await node.peerStore.get(connection.remotePeer)).protocols.includes(kLater))
  const later = await connection.newStream(kLater)
  later.send(new Uint8Array(1))
  for await (const part of later) if (part.byteLength > 0) break
  await later.close()
  out.slashless_ok = true
}

export async function leave (connection, out) {
  const asking = await connection.newStream(kLeave)
  asking.send(new Uint8Array(1))
  out.leave_seen = await becomesTrue(() => connection.status !== 'open')
}
