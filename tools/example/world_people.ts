/**
 * Scenes about people, animals and weather: whom to ask, what to take, how to behave. The right
 * answer is knowledge of the village, or something the visitor said a moment ago.
 */
import type { Draws } from "./random.ts";
import { capital, type Scene } from "./scene.ts";
import {
  animals,
  colours,
  goods,
  places,
  spots,
  sturdyThings,
  villagers,
  visitors,
  weathers,
} from "./world.ts";
import { comforts, courtesies, dishes, ingredients } from "./world_customs.ts";

const names = villagers.map((villager) => villager.name);

/** A trouble, and the villager to see about it. */
export function who(draws: Draws): Scene {
  const villager = draws.pick(villagers);
  const other = draws.pickOther(villagers, villager);
  return {
    kind: "who",
    facts: `${draws.pick(villager.solves)}${
      draws.pick(["", " I am new here.", " I do not know anyone here."])
    }`,
    question: draws.pick(["Who can help me?", "Whom should I ask?", "Where should I go?"]),
    topic: villager.trade,
    right: [
      `Go to ${villager.name} the ${villager.trade} ${villager.at}.`,
      `Ask ${villager.name} the ${villager.trade} ${villager.at}.`,
    ],
    reason: `${capital(villager.they)} knows all about such things.`,
    offers: ["Shall I show you the way?", "I can walk there with you."],
    wrong: [
      `Go to ${other.name} the ${other.trade} ${other.at}.`,
      `Ask ${other.name} the ${other.trade} ${other.at}.`,
    ],
    curt: `${villager.name}.`,
    vague: ["Someone will know.", "Ask around.", "There are many people here."],
  };
}

/** A hungry animal and its food. */
export function feed(draws: Draws): Scene {
  const animal = draws.pick(animals);
  const other = draws.pickOther(animals, animal);
  const owner = draws.pick(["My", `${draws.pick(names)}'s`]);
  const colour = draws.pick(colours);
  return {
    kind: "feed",
    facts: `${owner} ${colour} ${animal.name} is hungry${
      draws.pick(["", " again", " this morning"])
    }.`,
    question: draws.pick(["What should I give it?", `What does a ${animal.name} eat?`]),
    topic: animal.name,
    right: [
      `Give the ${animal.name} some ${animal.food}.`,
      `A ${animal.name} likes to eat ${animal.food}.`,
    ],
    reason: `A ${animal.name} grows strong on ${animal.food}.`,
    offers: ["I can bring some from the barn.", "Shall I help you feed it?"],
    wrong: [
      `Give the ${animal.name} some ${other.food}.`,
      `A ${animal.name} likes to eat ${other.food}.`,
    ],
    curt: `${capital(animal.food)}.`,
    vague: ["Something or other.", "Whatever is in the barn.", "It will eat if it wants to."],
  };
}

/** Weather or road, and what to take along. */
export function weather(draws: Draws): Scene {
  const now = draws.pick(weathers);
  const other = draws.pickOther(weathers, now);
  const place = draws.pick(places);
  const goer = draws.pick(["I", "I", draws.pick(names)]);
  const self = goer === "I";
  const must = self ? "I must" : `${goer} must`;
  return {
    kind: "weather",
    facts: `${now.state} and ${must} ${draws.pick(["go", "walk"])} to the ${place}${
      draws.pick(["", " today", " tonight"])
    }.`,
    question: `What should ${self ? "I" : goer} take along?`,
    topic: "weather",
    right: self
      ? [`Take ${now.take} with you.`, `You should take ${now.take} to the ${place}.`]
      : [`${goer} should take ${now.take}.`, `Give ${goer} ${now.take} for the way.`],
    reason: self ? now.why : `People here always take ${now.take} on such a day.`,
    offers: self
      ? ["Shall I lend you mine?", "I can go there with you."]
      : ["Shall I bring mine?", "I can go along too."],
    wrong: self
      ? [`Take ${other.take} with you.`, `You should take ${other.take} to the ${place}.`]
      : [`${goer} should take ${other.take}.`, `Give ${goer} ${other.take} for the way.`],
    curt: `${capital(now.take)}.`,
    vague: ["This or that.", "Things for the road.", "It may change, or it may not."],
  };
}

/** A small social trouble, and the right thing to do. */
export function courtesy(draws: Draws): Scene {
  const situation = draws.pick(courtesies);
  const name = draws.pick(names);
  const thing = draws.pick(sturdyThings);
  return {
    kind: "courtesy",
    facts: situation.before(name, thing),
    question: draws.pick(["What should I do?", "What is the right thing to do?"]),
    topic: name,
    right: [situation.right(name, thing)],
    reason: situation.why,
    offers: ["I can come with you.", "Shall I help you find the words?"],
    wrong: [situation.wrong(name, thing)],
    curt: situation.curt,
    vague: ["You could do something.", "Such things happen.", "Do this or do that."],
  };
}

/** A guest who is cold, hungry, tired. */
export function comfort(draws: Draws): Scene {
  const guest = draws.pick(comforts);
  const place = draws.pick(places);
  const because = draws.pick([
    `I come from the ${place} and I am ${guest.state}.`,
    `I am ${guest.state} after the long way from the ${place}.`,
    `My friend ${draws.pick(visitors)} and I went to the ${place}, and now I am ${guest.state}.`,
  ]);
  return {
    kind: "comfort",
    facts: because,
    question: draws.pick(["Can you help me?", "What should I do?"]),
    topic: "guest",
    right: [`${guest.help}, dear guest.`, `${guest.help}, and all will be well.`],
    reason: guest.why,
    offers: ["Is there more I can do for you?", "You may stay as long as you like."],
    wrong: [`${guest.harm}, dear guest.`, `${guest.harm}, and all will be well.`],
    curt: `${guest.help}.`,
    vague: ["That can happen.", "It will pass, or not.", "Many people are like that."],
  };
}

/** How to make a dish. */
export function recipe(draws: Draws): Scene {
  const dish = draws.pick(dishes);
  const other = draws.pickOther(dishes, dish);
  const food = draws.pick(ingredients);
  return {
    kind: "recipe",
    facts: draws.pick([
      `I have a basket of ${food}.`,
      `${draws.pick(names)} gave me some ${food}.`,
      `I bought ${food} at the market.`,
    ]),
    question: draws.pick([
      `How do I make ${dish.name} from them?`,
      `How can I make ${dish.name} of them for ${draws.pick(names)}?`,
    ]),
    topic: dish.name,
    right: [dish.make(food)],
    reason: dish.why,
    offers: ["Shall I write it down for you?", "I can help you in the kitchen."],
    wrong: [other.make(food)],
    curt: `Use ${food}.`,
    vague: ["You cook it somehow.", "There are many ways.", "Just make it."],
  };
}

/** Something the visitor has said about himself or herself is asked back. */
export function recall(draws: Draws): Scene {
  const visitor = draws.pick(visitors);
  const ware = draws.pick(goods);
  const spot = draws.pick(spots);
  const asksWare = draws.chance(0.5);
  const other = draws.pickOther(goods, ware);
  const elsewhere = draws.pickOther(spots, spot);
  return {
    kind: "recall",
    facts: `I am ${visitor}, and I sell ${ware} ${spot}.`,
    question: asksWare ? "Do you know what I sell?" : "Do you know where I sell it?".replace(
      "it",
      ware === "wool" || ware === "honey" || ware === "cheese" || ware === "salt" ? "it" : "them",
    ),
    topic: ware,
    right: asksWare
      ? [`You sell ${ware}, ${visitor}.`, `You are ${visitor}, and you sell ${ware}.`]
      : [`You sell ${ware} ${spot}.`, `Your place is ${spot}, ${visitor}.`],
    reason: "You have just told me so.",
    offers: ["May I have a look?", "Shall I tell my friends about it?"],
    wrong: asksWare
      ? [`You sell ${other}, ${visitor}.`, `You are ${visitor}, and you sell ${other}.`]
      : [`You sell ${ware} ${elsewhere}.`, `Your place is ${elsewhere}, ${visitor}.`],
    curt: asksWare ? `${capital(ware)}.` : `${capital(spot)}.`,
    vague: ["People sell many things.", "You said something or other.", "I may have heard it."],
  };
}

/** A request to borrow something until some time. */
export function borrow(draws: Draws): Scene {
  const thing = draws.pick(sturdyThings);
  const other = draws.pickOther(sturdyThings, thing);
  const until = draws.pick(["noon", "tonight", "tomorrow", "the market day"]);
  const later = draws.pickOther(["noon", "tonight", "tomorrow", "the market day"], until);
  return {
    kind: "borrow",
    facts: draws.pick([
      `I have work to do ${draws.pick(spots)}.`,
      `I am going to the ${draws.pick(places)} with ${draws.pick(names)}.`,
    ]),
    question: draws.pick([
      `May I borrow your ${thing} until ${until}?`,
      `Could you lend me a ${thing} until ${until}?`,
    ]),
    topic: thing,
    right: [`You may have the ${thing} until ${until}.`, `Take my ${thing} until ${until}.`],
    reason: `I do not need the ${thing} before then.`,
    offers: ["Shall I carry it for you?", "Is there more that you need?"],
    wrong: [`You may have the ${other} until ${later}.`, `Take my ${other} until ${later}.`],
    curt: "Fine.",
    vague: ["I may have one or not.", "Things come and go.", "Perhaps some day."],
  };
}
