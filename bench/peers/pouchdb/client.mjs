// One run: the device's documents replicate up, the channel's down, both at once and on kept connections, as PouchDB does by itself.
import { createRequire } from 'node:module'
import https from 'node:https'
import readline from 'node:readline'
const require = createRequire(import.meta.url)
const PouchDB = require('pouchdb-core')
PouchDB.plugin(require('pouchdb-adapter-memory')).plugin(require('pouchdb-adapter-http')).plugin(require('pouchdb-replication'))
const { fetch: pouchFetch } = require('pouchdb-fetch')
const agent = new https.Agent({ keepAlive: true }) // as browsers do; without one, each of its requests would open a connection

const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const { url, run, token, documents, expected } = JSON.parse((await lines.next()).value)
const own = new PouchDB('own', { adapter: 'memory' })
const channel = new PouchDB('channel', { adapter: 'memory' })
await own.bulkDocs(documents)
const fetch = (address, options = {}) => {
  options.headers.set('Authorization', `Bearer ${token}`)
  options.agent = agent
  return pouchFetch(address, options)
}
const remote = (name) => new PouchDB(`${url}/${name}`, { fetch, skip_setup: true })
console.log('ready')
await lines.next()
const began = performance.now()
let tries = 0
const marks = {}
const replicate = async (name, start) => {
  for (;;) {
    tries += 1
    try {
      const result = await start()
      if (result.ok && result.errors.length === 0) break
    } catch { /* the connection was cut: from the last checkpoint again */ }
    await new Promise((resolve) => setTimeout(resolve, 1000))
  }
  marks[name] = (performance.now() - began) / 1000
}
await Promise.all([
  replicate('up', () => own.replicate.to(remote(`own-${run}`))),
  replicate('down', () => channel.replicate.from(remote('channel'))),
])
const took = (performance.now() - began) / 1000
const { rows } = await channel.allDocs({ include_docs: true })
const texts = rows.map((row) => row.doc.text)
if (texts.length !== expected.length || texts.some((text, n) => text !== expected[n])) throw new Error('the channel is not what it is on the server')
console.log(JSON.stringify({ took_s: took, marks, sockets: tries }))
process.exit(0)
