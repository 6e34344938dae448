/**
 * Scenes whose right answer follows from facts and numbers in the prompt: where a thing is, how many
 * there are, what they cost, who has more, when something begins.
 */
import type { Draws } from "./random.ts";
import { capital, type Scene } from "./scene.ts";
import { events, numbers, places, produce, spots, things, villagers, wares } from "./world.ts";

const names = villagers.map((villager) => villager.name);
const countingOffers = ["Shall we count them together?", "I can bring you a basket for them."];
const vagueCounts = ["A few, or a few more.", "Some number or other.", "Not too many, I think."];

/** Two things lie in two places; one is asked for. */
export function where(draws: Draws): Scene {
  const thing = draws.pick(things).name;
  const other = draws.pickOther(things.map((item) => item.name), thing);
  const spot = draws.pick(spots);
  const elsewhere = draws.pickOther(spots, spot);
  const parts = [[thing, spot], [other, elsewhere]];
  if (draws.chance(0.5)) parts.reverse();
  const [[a, atA], [b, atB]] = parts;
  return {
    kind: "where",
    facts: draws.pick([
      `The ${a} is ${atA} and the ${b} is ${atB}.`,
      `I left the ${a} ${atA} and the ${b} ${atB}.`,
      `${draws.pick(names)} put the ${a} ${atA} and the ${b} ${atB}.`,
    ]),
    question: draws.pick([`Where is the ${thing}?`, `Where can I find the ${thing}?`]),
    topic: thing,
    right: [`The ${thing} is ${spot}.`, `You will find the ${thing} ${spot}.`],
    reason: `Only the ${other} is ${elsewhere}.`,
    offers: ["Shall I fetch it for you?", "I can come along and help you look."],
    wrong: [`The ${thing} is ${elsewhere}.`, `You will find the ${thing} ${elsewhere}.`],
    curt: `${capital(spot)}.`,
    vague: ["It is somewhere around here.", "It could be here or there.", "Not far, I think."],
  };
}

/** A sum of two numbers from two to nine. */
export function add(draws: Draws): Scene {
  const name = draws.pick(names);
  const item = draws.pick(produce);
  const a = draws.integer(2, 9);
  const b = draws.integer(2, 9);
  const sum = numbers[a + b];
  const off = numbers[a + b + draws.pick([-1, 1])];
  return {
    kind: "add",
    facts: `${name} has ${numbers[a]} ${item} and ${draws.pick(["finds", "buys"])} ${
      numbers[b]
    } more.`,
    question: `How many ${item} does ${name} have now?`,
    topic: item,
    right: [`${name} has ${sum} ${item} now.`, `There are ${sum} ${item} now.`],
    reason: `${capital(numbers[a])} and ${numbers[b]} make ${sum}.`,
    offers: countingOffers,
    wrong: [`${name} has ${off} ${item} now.`, `There are ${off} ${item} now.`],
    curt: `${capital(sum)}.`,
    vague: vagueCounts,
  };
}

/** A difference of two numbers up to twelve; something is left. */
export function take(draws: Draws): Scene {
  const name = draws.pick(names);
  const item = draws.pick(produce);
  const a = draws.integer(5, 12);
  const b = draws.integer(2, a - 2);
  const left = numbers[a - b];
  const off = numbers[a - b + draws.pick([-1, 1])];
  const verb = draws.pick(["sells", "gives away"]);
  return {
    kind: "take",
    facts: `${name} has ${numbers[a]} ${item} and ${verb} ${numbers[b]}.`,
    question: `How many ${item} are left?`,
    topic: item,
    right: [`${name} has ${left} ${item} left.`, `There are ${left} ${item} left.`],
    reason: `${capital(numbers[a])} less ${numbers[b]} is ${left}.`,
    offers: countingOffers,
    wrong: [`${name} has ${off} ${item} left.`, `There are ${off} ${item} left.`],
    curt: `${capital(left)}.`,
    vague: vagueCounts,
  };
}

/** A price for one, asked for several; at most twenty coins. */
export function price(draws: Draws): Scene {
  const [one, many] = draws.pick(wares);
  const each = draws.integer(2, 5);
  const count = draws.integer(2, 4);
  const total = numbers[each * count];
  const off = numbers[each * count + draws.pick([-1, each === 5 && count === 4 ? -2 : 1])];
  return {
    kind: "price",
    facts: `One ${one} costs ${numbers[each]} coins${
      draws.pick(["", " at the market", " at the inn"])
    }.`,
    question: draws.pick([
      `What do ${numbers[count]} ${many} cost?`,
      `How much are ${numbers[count]} ${many}?`,
    ]),
    topic: one,
    right: [
      `${capital(numbers[count])} ${many} cost ${total} coins.`,
      `That makes ${total} coins for ${numbers[count]} ${many}.`,
    ],
    reason: `${capital(numbers[count])} times ${numbers[each]} is ${total}.`,
    offers: ["Shall I pack them for you?", "You may pay when you come back."],
    wrong: [
      `${capital(numbers[count])} ${many} cost ${off} coins.`,
      `That makes ${off} coins for ${numbers[count]} ${many}.`,
    ],
    curt: `${capital(total)} coins.`,
    vague: ["That costs what it costs.", "More than one coin, I think.", "Prices come and go."],
  };
}

/** Whether the coins are enough, and what is left or missing. */
export function afford(draws: Draws): Scene {
  const [one] = draws.pick(wares);
  const have = draws.integer(3, 12);
  const gap = draws.integer(1, 4) * (draws.chance(0.5) || have < 6 ? 1 : -1);
  const cost = numbers[have + gap];
  const enough = gap < 0;
  const coins = `${numbers[Math.abs(gap)]} ${Math.abs(gap) === 1 ? "coin" : "coins"}`;
  const more = `${numbers[Math.abs(gap)]} more ${Math.abs(gap) === 1 ? "coin" : "coins"}`;
  const yes = [`Yes, you can buy the ${one}.`, `Yes, and you keep ${coins}.`];
  const no = [`No, the ${one} costs too much.`, `No, you need ${more} for the ${one}.`];
  return {
    kind: "afford",
    facts: `I have ${numbers[have]} coins and the ${one} costs ${cost}.`,
    question: draws.pick([`Can I buy the ${one}?`, `Can I pay for the ${one}?`]),
    topic: one,
    right: enough ? yes : no,
    reason: enough
      ? `${capital(numbers[have])} is more than ${cost}.`
      : `${capital(numbers[have])} is less than ${cost}.`,
    offers: enough
      ? ["Shall I pack it for you?", "Shall I show you the best one?"]
      : ["I can lend you some coins.", "Shall I keep it for you until you come back?"],
    wrong: enough ? no : yes,
    curt: enough ? "Yes." : "No.",
    vague: ["Maybe you can, maybe not.", "Coins are coins.", "We shall see."],
  };
}

/** Which of two villagers has more, or fewer, of the same. */
export function compare(draws: Draws): Scene {
  const first = draws.pick(names);
  const second = draws.pickOther(names, first);
  const item = draws.pick(produce);
  const a = draws.integer(2, 12);
  const b = draws.pickOther([2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], a);
  const word = draws.pick(["more", "fewer"]);
  const firstWins = word === "more" ? a > b : a < b;
  const [winner, loser] = firstWins ? [first, second] : [second, first];
  const [high, low] = a > b ? [a, b] : [b, a];
  return {
    kind: "compare",
    facts: `${first} has ${numbers[a]} ${item} and ${second} has ${numbers[b]}.`,
    question: `Who has ${word} ${item}?`,
    topic: item,
    right: [`${winner} has ${word} ${item} than ${loser}.`, `${winner} has ${word} of them.`],
    reason: `${capital(numbers[high])} is more than ${numbers[low]}.`,
    offers: ["Shall we count them together?", "I can ask them both for you."],
    wrong: [`${loser} has ${word} ${item} than ${winner}.`, `${loser} has ${word} of them.`],
    curt: `${winner}.`,
    vague: ["One of the two, for sure.", "They both have some.", "It is about the same."],
  };
}

/** Two events at two hours; one is asked for. */
export function when(draws: Draws): Scene {
  const event = draws.pick(events);
  const other = draws.pickOther(events, event);
  const hour = draws.integer(2, 12);
  const otherHour = draws.pickOther([2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], hour);
  const parts = [
    `the ${event.name} ${event.verb}s at ${numbers[hour]}`,
    `the ${other.name} ${other.verb}s at ${numbers[otherHour]}`,
  ];
  if (draws.chance(0.5)) parts.reverse();
  return {
    kind: "when",
    facts: `${capital(parts[0])} and ${parts[1]}.`,
    question: draws.pick([
      `When does the ${event.name} ${event.verb}?`,
      `At what hour does the ${event.name} ${event.verb}?`,
    ]),
    topic: event.name,
    right: [
      `The ${event.name} ${event.verb}s at ${numbers[hour]}.`,
      `It ${event.verb}s at ${numbers[hour]}.`,
    ],
    reason: `Only the ${other.name} ${other.verb}s at ${numbers[otherHour]}.`,
    offers: ["Shall I wake you in time?", "I can walk there with you."],
    wrong: [
      `The ${event.name} ${event.verb}s at ${numbers[otherHour]}.`,
      `It ${event.verb}s at ${numbers[otherHour]}.`,
    ],
    curt: `At ${numbers[hour]}.`,
    vague: ["Sooner or later.", "At some time today.", "When it is time."],
  };
}

/** What a thing is for. */
export function purpose(draws: Draws): Scene {
  const thing = draws.pick(things);
  const other = draws.pickOther(things, thing);
  return {
    kind: "purpose",
    facts: draws.pick([
      `I found a ${thing.name} ${draws.pick(spots)}.`,
      `${draws.pick(names)} showed me a ${thing.name}.`,
      `There is a ${thing.name} on the way to the ${draws.pick(places)}.`,
    ]),
    question: draws.pick(["What is it for?", `What is a ${thing.name} for?`]),
    topic: thing.name,
    right: [`A ${thing.name} is for ${thing.use}.`, `It is for ${thing.use}.`],
    reason: "Every house here has one.",
    offers: ["Shall I show you how to use it?", "I can lend you mine."],
    wrong: [`A ${thing.name} is for ${other.use}.`, `It is for ${other.use}.`],
    curt: `${capital(thing.use)}.`,
    vague: ["It is for this and that.", "It has its uses.", "People have such things."],
  };
}
