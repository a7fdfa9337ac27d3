// Opens page.mjs in a headless Chromium, which dials; flags and output are those of ../README.md. Wants page.bundle.js.
import { spawn } from 'node:child_process'
import { createHash, X509Certificate } from 'node:crypto'
import fs from 'node:fs'
import http from 'node:http'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { kDialFlags } from './dialler.mjs'

const kPatience = 200_000 // ms
const kBrowserFlags = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'
]
const kHtml = '<!doctype html><meta charset="utf-8"><script type="module" src="/page.bundle.js"></script>'

const { values: flags } = parseArgs({ options: kDialFlags })
// The browser is to believe this one certificate.
const believed = () => {
  const certificate = new X509Certificate(fs.readFileSync(flags['tls-certificate']))
  const key = certificate.publicKey.export({ type: 'spki', format: 'der' })
  return `--ignore-certificate-errors-spki-list=${createHash('sha256').update(key).digest('base64')}`
}
if (flags['tls-certificate']) kBrowserFlags.push(believed())
const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'kwaai-chromium-'))
let browser

// The browser's helpers outlive it for a moment, and write into the profile meanwhile.
function leave (status, tries) {
  try {
    fs.rmSync(profile, { recursive: true, force: true })
  } catch (error) {
    if (tries === 0) throw error
    setTimeout(leave, 100, status, tries - 1)
    return
  }
  process.exit(status)
}

function finish (status) {
  browser.once('exit', () => leave(status, 30))
  browser.kill('SIGKILL')
}

async function answer (request, response) {
  if (request.url === '/report') {
    let body = ''
    for await (const part of request) body += part
    response.end()
    process.stdout.write(body + '\n', () => finish(0))
  } else if (request.url === '/flags') {
    response.end(JSON.stringify(flags))
  } else if (request.url === '/page.bundle.js') {
    response.setHeader('content-type', 'text/javascript')
    response.end(fs.readFileSync('page.bundle.js'))
  } else {
    response.setHeader('content-type', 'text/html')
    response.end(kHtml)
  }
}

const server = http.createServer(answer)
server.listen(0, '127.0.0.1', () => {
  const url = `http://127.0.0.1:${server.address().port}/`
  browser = spawn('chromium', [...kBrowserFlags, `--user-data-dir=${profile}`, url], { stdio: ['ignore', 'ignore', 'inherit'] })
  setTimeout(() => {
    console.error('chromium.mjs: the page did not report')
    finish(1)
  }, kPatience)
})
