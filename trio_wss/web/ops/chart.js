// Sparklines: a line over its own past, with nothing but what one needs to read it.

const SVG = 'http://www.w3.org/2000/svg'
const WIDTH = 120
const HEIGHT = 40

const part = (name, attributes) => {
  const made = document.createElementNS(SVG, name)
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
  return made
}

/** A line's points and the area's: the newest value is at the right, a missing one is a gap. */
export function paths(values, length, top) {
  let line = ''
  let area = ''
  let from = null
  const x = (index) => ((length - values.length + index) / (length - 1)) * WIDTH
  const y = (value) => HEIGHT - (top ? value / top : 0) * (HEIGHT - 2)
  values.forEach((value, index) => {
    if (value === null) {
      from = null
      return
    }
    const place = `${x(index).toFixed(1)} ${y(value).toFixed(1)}`
    line += `${from === null ? 'M' : 'L'}${place}`
    if (from !== null) {
      const before = `${x(index - 1).toFixed(1)} ${y(values[index - 1]).toFixed(1)}`
      area += `M${x(index - 1).toFixed(1)} ${HEIGHT}L${before}L${place}L${x(index).toFixed(1)} ${HEIGHT}Z`
    }
    from = index
  })
  return { line, area }
}

/** Draw values into an <svg>, over `length` places; returns the largest of them. */
export function draw(svg, values, length) {
  const top = Math.max(0, ...values.filter((value) => value !== null))
  const { line, area } = paths(values, length, top)
  svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`)
  svg.setAttribute('preserveAspectRatio', 'none')
  svg.setAttribute('class', 'spark')
  svg.replaceChildren(
    part('path', { class: 'area', d: area }),
    part('path', { class: 'base', d: `M0 ${HEIGHT}H${WIDTH}` }),
    part('path', { class: 'line', d: line }),
  )
  return top
}

/** An empty <svg>; what it shows is said in words beside it. */
export const spark = () => part('svg', { 'aria-hidden': 'true' })
