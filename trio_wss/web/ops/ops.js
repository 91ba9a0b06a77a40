// The cluster as a page: what the nodes say comes over one WebSocket, and is drawn once a second.
import { draw, spark } from './chart.js'
import { Cluster, PAST } from './cluster.js'

const cluster = new Cluster()
const at = (selector) => document.querySelector(selector)
const PAUSES = [500, 1000, 2000, 5000]

// --- words for numbers

const number = (value) =>
  value === null ? '–' : value >= 10_000 ? `${(value / 1000).toFixed(1)} k`
    : value >= 100 || Number.isInteger(value) ? Math.round(value).toLocaleString('en') : value.toFixed(1)
const milliseconds = (value) =>
  value === null ? '–' : value >= 1000 ? `${(value / 1000).toFixed(1)} s` : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`
const bytes = (value) =>
  value < 1024 ? `${value} B` : value < 1 << 20 ? `${(value / 1024).toFixed(0)} KiB` : `${(value / (1 << 20)).toFixed(1)} MiB`
const clock = (time) => new Date(time * 1000).toLocaleTimeString('en-GB')
const count = (many, noun) => `${number(many)} ${noun}${many === 1 ? '' : 's'}`

// --- elements. What comes from outside is only ever text.

const make = (name, text = '', kind = '') => {
  const made = document.createElement(name)
  made.textContent = text
  if (kind) made.className = kind
  return made
}
const fill = (body, rows, columns, empty) => {
  const cell = make('td', empty, 'empty')
  cell.colSpan = columns
  const none = make('tr')
  none.append(cell)
  body.replaceChildren(...(rows.length ? rows : [none]))
}
const row = (...cells) => {
  const made = make('tr')
  made.append(...cells)
  return made
}
const cell = (text, label = '', kind = 'n') => {
  const made = make('td', text, kind)
  if (label) made.dataset.label = label
  return made
}

// --- charts of the whole cluster

const charts = [
  ['rate', 'Events per second', number],
  ['deliveries', 'Deliveries per second', number],
  ['commit', 'Slowest commit, p99', milliseconds],
  ['lag', 'Loop lag, worst', milliseconds],
].map(([name, title, show]) => {
  const figure = make('figure')
  const caption = make('figcaption', title)
  const value = make('strong')
  const peak = make('span')
  const svg = spark()
  const below = make('small')
  below.append(make('span', '2 min ago'), peak)
  caption.append(value)
  figure.append(caption, svg, below)
  at('#charts').append(figure)
  return () => {
    const past = cluster.past[name]
    const top = draw(svg, past, PAST)
    value.textContent = show(past.at(-1) ?? null)
    peak.textContent = `most ${show(top)}`
  }
})

// --- the rest

const state = ({ load, gone }) => {
  if (gone) return ['gone', 'bad']
  if (load.unready) return [load.unready, 'bad']
  if (load.silence > 5) return ['deaf', 'bad']
  return load.lag > 100 ? ['ready, but late', 'warn'] : ['ready', 'good']
}

function nodeRow(node) {
  const { load } = node
  const name = make('td')
  const code = make('code', load.node.slice(0, 8))
  if (load.ops && !node.gone) {
    const link = make('a')
    link.href = load.ops
    link.append(code)
    name.append(link)
  } else name.append(code)
  name.title = `${load.node} at ${load.url}`
  name.append(make('span', ` ${new URL(load.url).host}`, 'soft'))
  const [words, kind] = state(node)
  const trend = cell('', '', 'trend')
  const svg = spark()
  draw(svg, node.rates, PAST)
  trend.append(svg)
  const numbers = node.gone ? [] : [
    cell(number(load.connections), 'Clients'),
    cell(number(load.rate), 'Events/s'),
    trend,
    cell(milliseconds(load.commits.p99), 'Commit p99'),
    cell(milliseconds(load.delivery.p99), 'Delivery p99'),
    cell(milliseconds(load.lag), 'Loop lag'),
    cell(`${Math.round(load.cpu * 100)} %`, 'CPU'),
    cell(bytes(load.outbox_most), 'Outbox, most'),
  ]
  const last = node.gone ? [make('td')] : []
  if (node.gone) last[0].colSpan = 8
  return row(name, cell(words, '', `state ${kind}`), ...numbers, ...last)
}

const KINDS = { node: 'soft', gap: 'warn', conflict: 'warn' }

const faultRow = ({ time, node, kind, text }) => {
  const item = make('li')
  const what = make('span')
  what.append(make('code', `${node.slice(0, 8)} `), text)
  item.append(make('time', clock(time), 'soft'), make('span', kind, KINDS[kind] ?? 'bad'), what)
  return item
}

const TOTALS = [
  ['Slow clients closed', 'slow_consumers'],
  ['Conflicts', 'conflicts'],
  ['Gaps filled', 'gaps'],
  ['Recoveries, complete', 'recovered'],
  ['Recoveries, history lost', 'broken'],
  ['Redis lost', 'link_losses'],
]

function render() {
  const here = cluster.here()
  const ready = here.filter((load) => !load.unready).length
  at('#summary').textContent =
    `${ready} of ${count(cluster.nodes.size, 'node')} ready, ${count(cluster.total('connections'), 'client')}`
  for (const chart of charts) chart()
  const nodes = [...cluster.nodes.values()].sort((a, b) => (a.load.url < b.load.url ? -1 : 1))
  fill(at('#nodes tbody'), nodes.map(nodeRow), 10, 'No node has said anything yet.')
  fill(at('#topics tbody'), cluster.topics().map(({ topic, members, rate }) =>
    row(make('td', topic), cell(number(members)), cell(number(rate)))), 3, 'Nobody is in a topic.')
  fill(at('#events tbody'), cluster.events().map(({ event, rate, failed }) =>
    row(make('td', event), cell(number(rate)), cell(number(failed), '', failed ? 'n warn' : 'n'))), 3,
  'No events in the last second.')
  at('#faults').replaceChildren(...(cluster.faults.length
    ? cluster.faults.map(faultRow) : [make('li', 'None so far.', 'empty')]))
  at('#totals').replaceChildren(...TOTALS.flatMap(([title, name]) =>
    [make('dt', title), make('dd', number(cluster.total(name)))]))
}

let tries = 0

function connect() {
  const socket = new WebSocket(location.href.replace(/^http/, 'ws').replace(/#.*/, ''))
  const say = (words, kind) => {
    at('#state').textContent = words
    at('#state').className = `state ${kind}`
  }
  socket.onopen = () => {
    tries = 0
    say('live', 'good')
  }
  socket.onmessage = ({ data }) => cluster.hear(JSON.parse(data).data, performance.now())
  socket.onclose = () => {
    say('no connection to this node: trying again', 'bad')
    setTimeout(connect, PAUSES[Math.min(tries++, PAUSES.length - 1)])
  }
}

connect()
render()
setInterval(() => {
  if (cluster.nodes.size) cluster.tick(performance.now(), Date.now() / 1000)
  render()
}, 1000)
