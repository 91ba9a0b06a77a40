// What the nodes have said, and what follows from it. No page and no socket here.

export const PAST = 120 // seconds that are shown
export const GONE = 3500 // milliseconds of silence after which a node counts as gone
const FORGOTTEN = 60_000
const MAX_FAULTS = 60

const sum = (values) => values.reduce((all, value) => all + value, 0)
const most = (values) => {
  const there = values.filter((value) => value !== null)
  return there.length ? Math.max(...there) : null
}
const keep = (list, value) => {
  list.push(value)
  if (list.length > PAST) list.shift()
}

export class Cluster {
  nodes = new Map() // id → {load, seen, gone, rates}
  faults = [] // the newest first
  past = { rate: [], deliveries: [], commit: [], lag: [] }

  /** Take a node's word. `now` is in milliseconds. */
  hear(load, now) {
    const known = this.nodes.get(load.node)
    const node = known ?? { rates: [] }
    if (node.gone) this.note(load.time, load.node, 'node', 'is back')
    Object.assign(node, { load, seen: now, gone: false })
    this.nodes.set(load.node, node)
    for (const fault of load.faults) this.note(fault.time, load.node, fault.kind, fault.text)
  }

  /** A second has passed. */
  tick(now, time) {
    for (const [id, node] of this.nodes) {
      if (!node.gone && now - node.seen > GONE) {
        node.gone = true
        this.note(time, id, 'node', 'says nothing any more: it has stopped, or is cut off')
      }
      if (now - node.seen > FORGOTTEN) this.nodes.delete(id)
      keep(node.rates, node.gone ? null : node.load.rate)
    }
    const here = this.here()
    keep(this.past.rate, sum(here.map((load) => load.rate)))
    keep(this.past.deliveries, sum(here.map((load) => load.deliveries)))
    keep(this.past.commit, most(here.map((load) => load.commits.p99)))
    keep(this.past.lag, most(here.map((load) => load.lag)))
  }

  /** The loads of the nodes that are there. */
  here() {
    return [...this.nodes.values()].filter((node) => !node.gone).map((node) => node.load)
  }

  /** Remember a fault once, however often it is told. */
  note(time, node, kind, text) {
    if (this.faults.some((one) => one.time === time && one.node === node && one.text === text)) return
    this.faults.push({ time, node, kind, text })
    this.faults.sort((a, b) => b.time - a.time)
    this.faults.length = Math.min(this.faults.length, MAX_FAULTS)
  }

  /** Topics of all nodes: clients add up; every node hears every broadcast, so rates do not. */
  topics() {
    const found = new Map()
    for (const load of this.here()) {
      for (const { topic, members, rate } of load.top_topics) {
        const one = found.get(topic) ?? { topic, members: 0, rate: 0 }
        one.members += members
        one.rate = Math.max(one.rate, rate)
        found.set(topic, one)
      }
    }
    return [...found.values()].sort((a, b) => b.rate - a.rate || b.members - a.members).slice(0, 20)
  }

  /** Events of all nodes. */
  events() {
    const found = new Map()
    for (const load of this.here()) {
      for (const { event, rate, failed } of load.top_events) {
        const one = found.get(event) ?? { event, rate: 0, failed: 0 }
        one.rate += rate
        one.failed += failed
        found.set(event, one)
      }
    }
    return [...found.values()].sort((a, b) => b.rate - a.rate).slice(0, 20)
  }

  /** The sum over the nodes of what they count. */
  total(name) {
    return sum(this.here().map((load) => load[name]))
  }
}
