// What bench/p2p.py measures over a connection that is there.
const kFirstRequests = 200 // that are not counted

// 64 bytes to `protocol` and back, one after the other on one stream: [p50, p99] in microseconds.
export async function requests (connection, protocol, count) {
  const stream = await connection.newStream(protocol)
  const block = new Uint8Array(64)
  const times = []
  let got = 0
  let arrived
  stream.addEventListener('message', ({ data }) => {
    got += data.byteLength
    if (got >= block.length) arrived()
  })
  for (let i = 0; i < kFirstRequests + count; i++) {
    got = 0
    const answer = new Promise((resolve) => { arrived = resolve })
    const begin = performance.now()
    stream.send(block)
    await answer
    if (i >= kFirstRequests) times.push((performance.now() - begin) * 1000)
  }
  await stream.close()
  times.sort((a, b) => a - b)
  return [times[times.length >> 1], times[Math.floor(times.length * 0.99)]]
}
