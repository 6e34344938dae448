/** What the village does for guests, how it cooks, and how one behaves there. */

/** States of a guest: what helps, why, and advice that does not. */
export const comforts: readonly {
  readonly state: string;
  readonly help: string;
  readonly why: string;
  readonly harm: string;
}[] = [
  {
    state: "cold",
    help: "Sit by the fire",
    why: "The fire will warm you.",
    harm: "Stand in the snow",
  },
  { state: "hungry", help: "Have some soup", why: "Hot soup is good food.", harm: "Eat nothing" },
  {
    state: "thirsty",
    help: "Have a cup of water",
    why: "It comes fresh from the well.",
    harm: "Have some salt",
  },
  {
    state: "tired",
    help: "Lie down in the small room",
    why: "The bed there is soft.",
    harm: "Run up the hill",
  },
  {
    state: "wet",
    help: "Put on this dry coat",
    why: "Dry wool is warm.",
    harm: "Jump into the river",
  },
  {
    state: "sad",
    help: "Tell me all about it",
    why: "A friend can make it lighter.",
    harm: "Laugh at the moon",
  },
  {
    state: "lost",
    help: "Follow the river to the bridge",
    why: "The road begins there.",
    harm: "Walk into the fog",
  },
];

/** Dishes: what they are made of and how. */
export const ingredients: readonly string[] = [
  "carrots",
  "onions",
  "apples",
  "plums",
  "pears",
  "turnips",
  "nuts",
];
export const dishes: readonly {
  readonly name: string;
  readonly make: (ingredient: string) => string;
  readonly why: string;
}[] = [
  {
    name: "soup",
    make: (x) => `Boil the ${x} in water and add some salt.`,
    why: "Slow boiling makes it rich.",
  },
  {
    name: "cake",
    make: (x) => `Mix the ${x} with flour and eggs, and bake it.`,
    why: "Baking makes it rise.",
  },
  {
    name: "jam",
    make: (x) => `Cook the ${x} slowly with honey.`,
    why: "Honey keeps it good all winter.",
  },
  {
    name: "salad",
    make: (x) => `Cut the ${x} into small pieces and add some oil.`,
    why: "Small pieces are easy to eat.",
  },
];

/** Social situations with a villager: what is right, why, and what is not. */
export const courtesies: readonly {
  readonly before: (name: string, thing: string) => string;
  readonly right: (name: string, thing: string) => string;
  readonly wrong: (name: string, thing: string) => string;
  readonly curt: string;
  readonly why: string;
}[] = [
  {
    before: (name, thing) => `I broke ${name}'s ${thing}.`,
    right: (name, thing) => `Tell ${name} that you are sorry and pay for the ${thing}.`,
    wrong: (name, thing) => `Hide the ${thing} and say nothing to ${name}.`,
    curt: "Say sorry.",
    why: "An honest word keeps a friend.",
  },
  {
    before: (name, thing) => `I lost ${name}'s ${thing}.`,
    right: (name, thing) => `Tell ${name} the truth and help to look for the ${thing}.`,
    wrong: (name, thing) => `Tell ${name} that you never had the ${thing}.`,
    curt: "Own up.",
    why: "The truth is always best.",
  },
  {
    before: (name, thing) => `${name} gave me a ${thing}.`,
    right: (name, thing) => `Thank ${name} warmly for the ${thing}.`,
    wrong: (name, thing) => `Tell ${name} that the ${thing} is ugly.`,
    curt: "Say thanks.",
    why: "A kind gift asks for kind words.",
  },
  {
    before: (name, thing) => `${name} lent me a ${thing}.`,
    right: (name, thing) => `Bring the ${thing} back to ${name} clean and in time.`,
    wrong: (name, thing) => `Keep the ${thing} and tell ${name} it is yours.`,
    curt: "Bring it back.",
    why: "Then you may borrow it again.",
  },
  {
    before: (name) => `${name} is ill today.`,
    right: (name) => `Bring ${name} some hot soup and speak softly.`,
    wrong: (name) => `Sing loudly under ${name}'s window.`,
    curt: "Bring soup.",
    why: "A quiet visit does the sick good.",
  },
  {
    before: (name) => `It is ${name}'s birthday.`,
    right: (name) => `Wish ${name} a happy birthday and bring a cake.`,
    wrong: (name) => `Ask ${name} for a present.`,
    curt: "Bring a cake.",
    why: "It is good to be remembered.",
  },
  {
    before: (name, thing) => `${name} is carrying a heavy ${thing}.`,
    right: (name, thing) => `Offer to carry the ${thing} for ${name}.`,
    wrong: (name) => `Laugh at ${name} and walk on.`,
    curt: "Carry it.",
    why: "Two backs are better than one.",
  },
];
