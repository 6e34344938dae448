/**
 * The facts of the example's world: a village by the sea, its people, animals, things and weather.
 * Scenes (`world_facts.ts`, `world_people.ts`) ask about them. The lists are short on purpose: the
 * tokenizer has about 1,000 tokens and the model about 0.7 M parameters, so words must come often.
 */

export interface Villager {
  readonly name: string;
  readonly they: "she" | "he";
  readonly trade: string;
  /** Where the villager works, with its preposition. */
  readonly at: string;
  /** Troubles, as whole sentences, that this villager is the one to ask about. */
  readonly solves: readonly string[];
}

export const villagers: readonly Villager[] = [
  {
    name: "Anna",
    they: "she",
    trade: "baker",
    at: "at the bakery",
    solves: ["I need a loaf of bread.", "I want to order a cake."],
  },
  {
    name: "Otto",
    they: "he",
    trade: "smith",
    at: "at the forge",
    solves: ["My kettle has a hole.", "My horse has lost a shoe.", "My hammer is broken."],
  },
  {
    name: "Rosa",
    they: "she",
    trade: "gardener",
    at: "in the garden",
    solves: ["My roses are dying.", "I want to plant a plum tree.", "I need seeds."],
  },
  {
    name: "Finn",
    they: "he",
    trade: "fisherman",
    at: "at the harbour",
    solves: ["I want to buy a fresh fish.", "My net has a hole."],
  },
  {
    name: "Mira",
    they: "she",
    trade: "doctor",
    at: "at the white house",
    solves: ["My child has a fever.", "My tooth hurts.", "I hurt my foot."],
  },
  {
    name: "Ben",
    they: "he",
    trade: "miller",
    at: "at the mill",
    solves: ["I need a sack of flour.", "I have corn to grind."],
  },
  {
    name: "Clara",
    they: "she",
    trade: "teacher",
    at: "at the school",
    solves: ["I want to learn to read.", "I cannot read this letter.", "I need help with a sum."],
  },
  {
    name: "Hugo",
    they: "he",
    trade: "ferryman",
    at: "at the river",
    solves: ["I must cross the river.", "I want to go to the island."],
  },
  {
    name: "Ida",
    they: "she",
    trade: "weaver",
    at: "at the red house",
    solves: ["My coat is torn.", "I need a new blanket.", "My scarf is too short."],
  },
  {
    name: "Leo",
    they: "he",
    trade: "carpenter",
    at: "at the workshop",
    solves: ["My chair is broken.", "My door is stuck.", "I need a new table."],
  },
  {
    name: "Nell",
    they: "she",
    trade: "shepherd",
    at: "on the hill",
    solves: ["I need some wool.", "I found a lost lamb."],
  },
  {
    name: "Tom",
    they: "he",
    trade: "innkeeper",
    at: "at the inn",
    solves: ["I need a bed for the night.", "I want a hot supper."],
  },
];

/** Visitors, who tell their names and ask; no villager is called so. */
export const visitors: readonly string[] = [
  "Alma",
  "Emil",
  "Greta",
  "Jonas",
  "Karl",
  "Lena",
  "Paul",
  "Vera",
];

/** What a visitor may trade in. */
export const goods: readonly string[] = [
  "wool",
  "honey",
  "cheese",
  "salt",
  "candles",
  "books",
  "boots",
  "hats",
];

/** Things that are lost, found, lent and used: name and purpose (after "is for"). */
export const things: readonly { readonly name: string; readonly use: string }[] = [
  { name: "lantern", use: "giving light at night" },
  { name: "ladder", use: "climbing up to the roof" },
  { name: "rope", use: "tying up the boat" },
  { name: "key", use: "opening the door" },
  { name: "bell", use: "calling the children home" },
  { name: "map", use: "finding the way" },
  { name: "kettle", use: "boiling water for tea" },
  { name: "blanket", use: "keeping warm in bed" },
  { name: "hammer", use: "driving nails into wood" },
  { name: "broom", use: "sweeping the floor" },
  { name: "bucket", use: "carrying water from the well" },
  { name: "basket", use: "carrying fruit to market" },
];

/** Things that may be heavy, borrowed or broken. */
export const sturdyThings: readonly string[] = [
  "lantern",
  "ladder",
  "kettle",
  "bucket",
  "basket",
  "hammer",
];

/** Where things are left. */
export const spots: readonly string[] = [
  "in the barn",
  "by the well",
  "under the bridge",
  "behind the inn",
  "on the boat",
  "near the gate",
  "in the garden",
  "at the forge",
  "on the hill",
  "beside the oven",
];

/** Where people walk to (after "the"). */
export const places: readonly string[] = [
  "mill",
  "market",
  "harbour",
  "school",
  "forge",
  "island",
  "inn",
  "bridge",
];

/** Things that are counted: plural form. */
export const produce: readonly string[] = [
  "pears",
  "apples",
  "plums",
  "eggs",
  "carrots",
  "onions",
  "fish",
  "shells",
  "candles",
  "nuts",
];

/** Things that are bought: singular and plural. */
export const wares: readonly (readonly [string, string])[] = [
  ["loaf", "loaves"],
  ["cake", "cakes"],
  ["candle", "candles"],
  ["basket", "baskets"],
  ["fish", "fish"],
  ["hat", "hats"],
  ["cup", "cups"],
  ["book", "books"],
];

/** Animals and what they eat (after "some"). */
export const animals: readonly { readonly name: string; readonly food: string }[] = [
  { name: "goat", food: "hay" },
  { name: "hen", food: "corn" },
  { name: "cat", food: "fish" },
  { name: "dog", food: "meat" },
  { name: "donkey", food: "carrots" },
  { name: "sheep", food: "grass" },
  { name: "horse", food: "oats" },
  { name: "pig", food: "turnips" },
  { name: "rabbit", food: "leaves" },
];

/** What tells one animal from another. */
export const colours: readonly string[] = ["brown", "white", "black", "grey", "small", "young"];

/** Weather and roads: what to take, and why it helps. */
export const weathers: readonly {
  readonly state: string;
  readonly take: string;
  readonly why: string;
}[] = [
  { state: "It is raining", take: "a coat", why: "It will keep you dry." },
  { state: "It is snowing", take: "thick boots", why: "They will keep your feet warm." },
  { state: "There is fog", take: "a lantern", why: "Its light will show you the road." },
  { state: "The sun is hot", take: "a straw hat", why: "It will give you shade." },
  { state: "The wind is cold", take: "a scarf", why: "It will keep your neck warm." },
  { state: "There is ice on the road", take: "a stick", why: "It will keep you from falling." },
  { state: "The road is long", take: "bread and water", why: "You will be hungry on the way." },
];

/** Number words; index is the value. */
export const numbers: readonly string[] = [
  "no",
  "one",
  "two",
  "three",
  "four",
  "five",
  "six",
  "seven",
  "eight",
  "nine",
  "ten",
  "eleven",
  "twelve",
  "thirteen",
  "fourteen",
  "fifteen",
  "sixteen",
  "seventeen",
  "eighteen",
  "nineteen",
  "twenty",
];

/** Events of the day. */
export const events: readonly { readonly name: string; readonly verb: string }[] = [
  { name: "ferry", verb: "leave" },
  { name: "coach", verb: "leave" },
  { name: "market", verb: "open" },
  { name: "bakery", verb: "open" },
  { name: "school", verb: "begin" },
  { name: "dance", verb: "begin" },
];
