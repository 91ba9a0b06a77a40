// A session's name for people, the same on every page: a colour and an animal.

const COLOURS = ["Amber", "Azure", "Bronze", "Coral", "Crimson", "Golden", "Green", "Indigo", "Ivory", "Jade", "Lilac", "Olive", "Pink", "Purple", "Ruby", "Silver", "Teal", "Violet", "White"];
const ANIMALS = ["Badger", "Bear", "Crane", "Deer", "Dolphin", "Eagle", "Fox", "Gecko", "Hare", "Heron", "Koala", "Lynx", "Mole", "Newt", "Otter", "Owl", "Panda", "Raven", "Seal", "Stork", "Tiger", "Whale", "Wolf"];

export function nameOf(session) {
  let hash = 7;
  for (const letter of session) hash = (hash * 31 + letter.charCodeAt(0)) >>> 0;
  return `${COLOURS[hash % COLOURS.length]} ${ANIMALS[Math.floor(hash / COLOURS.length) % ANIMALS.length]}`;
}
