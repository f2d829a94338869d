// PouchDB's server over TLS, in memory: express-pouchdb as its documentation describes it, with only what replication needs.
// Says its port when the channel's documents are there; each run has a database of its own.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import { once } from 'node:events'
import https from 'node:https'
import readline from 'node:readline'
const require = createRequire(import.meta.url)
const express = require('express')
const PouchDB = require('pouchdb-core')
PouchDB.plugin(require('pouchdb-adapter-memory')).plugin(require('pouchdb-mapreduce')).plugin(require('pouchdb-find')).plugin(require('pouchdb-replication'))

const lines = readline.createInterface({ input: process.stdin })
lines.on('close', () => process.exit(0)) // whoever asked is gone
const { address, chain, key, documents, runs } = JSON.parse((await once(lines, 'line'))[0])
const Memory = PouchDB.defaults({ adapter: 'memory' })
const app = express()
app.use('/', require('express-pouchdb')(Memory, { mode: 'minimumForPouchDB', inMemoryConfig: true, logPath: '/dev/null' }))
const channel = new Memory('channel') // after the line above, which listens for databases
await channel.bulkDocs(documents)
for (let run = 0; run < runs; run += 1) await new Memory(`own-${run}`).info()
const server = https.createServer({ cert: readFileSync(chain), key: readFileSync(key) }, app)
server.keepAliveTimeout = 300_000
server.listen(0, address, () => console.log(server.address().port))
