/**
 * The departments of the market: which parts of WordNet's noun hierarchy hold things that people buy, and which never do.
 * A department is named by sense keys of its roots; the concepts themselves are found below those roots, never listed.
 */

/** A part of the shop, with the advertisers that sell in it. */
export interface Department {
  readonly key: string;
  /** Sense keys of the synsets whose hyponyms belong here. */
  readonly roots: readonly string[];
  /** What its advertisers say of their shops. */
  readonly taglines: readonly string[];
  /** Median bid in account currency units; clicks on machines cost more than clicks on snacks. */
  readonly medianBid: number;
  /** Median value of a sale in account currency units. */
  readonly medianSale: number;
}

/** In order of precedence: a synset under the roots of two departments belongs to the first. */
export const DEPARTMENTS: readonly Department[] = [
  {
    key: 'fashion',
    roots: [
      'clothing%1:06:00::',
      'footwear%1:06:00::',
      'footwear%1:06:01::',
      'adornment%1:06:00::',
      'handbag%1:06:00::',
      'baggage%1:06:00::',
      'spectacles%1:06:00::',
      'umbrella%1:06:00::',
    ],
    taglines: [
      'For work, weekend and every season.',
      'Fits you, not just the mannequin.',
      'Find your size and your look.',
    ],
    medianBid: 0.55,
    medianSale: 45,
  },
  {
    key: 'furniture',
    roots: [
      'furniture%1:06:00::',
      'floor_cover%1:06:00::',
      'curtain%1:06:00::',
      'lamp%1:06:00::',
      'lamp%1:06:01::',
      'bedding%1:06:00::',
      'cushion%1:06:00::',
      'candle%1:06:00::',
      'mirror%1:06:00::',
      'decoration%1:06:00::',
      'screen%1:06:03::',
    ],
    taglines: ['For bedroom, kitchen and living room.', 'Make your home yours.', 'From our own workshop to your home.'],
    medianBid: 0.9,
    medianSale: 180,
  },
  {
    key: 'beauty',
    roots: ['toiletry%1:06:00::', 'soap%1:06:00::', 'comb%1:06:00::', 'bathtub%1:06:00::', 'towel%1:06:00::'],
    taglines: ['Care for skin and hair.', 'Gentle, tested, and good to your skin.', 'For your bathroom shelf.'],
    medianBid: 0.5,
    medianSale: 25,
  },
  {
    key: 'kitchen',
    roots: [
      'utensil%1:06:00::',
      'tableware%1:06:00::',
      'home_appliance%1:06:00::',
      'glass%1:06:00::',
      'dish%1:06:00::',
      'cup%1:06:00::',
      'pan%1:06:00::',
      'pot%1:06:00::',
      'spoon%1:06:00::',
      'shaker%1:06:00::',
      'bottle%1:06:00::',
      'jar%1:06:00::',
      'bowl%1:06:00::',
      'can%1:06:00::',
    ],
    taglines: [
      'For cooks and their kitchens.',
      'For everyday meals and big dinners.',
      'Dishwasher proof and easy to clean.',
    ],
    medianBid: 0.6,
    medianSale: 60,
  },
  {
    key: 'storage',
    roots: [
      'bag%1:06:00::',
      'box%1:06:00::',
      'basket%1:06:00::',
      'case%1:06:00::',
      'bin%1:06:00::',
      'tub%1:06:00::',
      'tank%1:06:01::',
      'wrapping%1:06:00::',
      'flowerpot%1:06:00::',
      'envelope%1:06:00::',
    ],
    taglines: ['A place for everything.', 'For moving, sending and tidying up.', 'Keeps your things together.'],
    medianBid: 0.4,
    medianSale: 30,
  },
  {
    key: 'music',
    roots: ['musical_instrument%1:06:00::'],
    taglines: [
      'For beginners and for the stage.',
      'Tuned and checked by musicians.',
      'Rent first, buy when you love it.',
    ],
    medianBid: 0.8,
    medianSale: 350,
  },
  {
    key: 'sports',
    roots: [
      'sports_equipment%1:06:00::',
      'game_equipment%1:06:00::',
      'sports_implement%1:06:00::',
      'plaything%1:06:00::',
      'tent%1:06:00::',
      'fishing_gear%1:06:00::',
      'board_game%1:04:00::',
      'card_game%1:04:00::',
    ],
    taglines: ['For play, training and match day.', 'For children and grown-ups.', 'Get out and play.'],
    medianBid: 0.5,
    medianSale: 55,
  },
  {
    key: 'electronics',
    roots: [
      'electronic_equipment%1:06:00::',
      'computer%1:06:00::',
      'electronic_device%1:06:00::',
      'photographic_equipment%1:06:00::',
      'memory_device%1:06:00::',
      'electrical_device%1:06:00::',
      'recorder%1:06:00::',
      'telephone%1:06:00::',
      'alarm%1:06:00::',
      'computer_circuit%1:06:00::',
      'acoustic_device%1:06:00::',
    ],
    taglines: [
      'Latest technology for home and office.',
      'Specs, manuals and drivers on our site.',
      'Set up in minutes.',
    ],
    medianBid: 1.1,
    medianSale: 220,
  },
  {
    key: 'instruments',
    roots: [
      'measuring_instrument%1:06:00::',
      'optical_instrument%1:06:00::',
      'optical_device%1:06:00::',
      'medical_instrument%1:06:00::',
      'corrective%1:06:00::',
      'scientific_instrument%1:06:00::',
      'drafting_instrument%1:06:00::',
      'navigational_instrument%1:06:00::',
      'bandage%1:06:00::',
    ],
    taglines: ['Precise, calibrated and certified.', 'For laboratory, practice and home.', 'Accuracy you can rely on.'],
    medianBid: 0.9,
    medianSale: 120,
  },
  {
    key: 'vehicles',
    roots: ['wheeled_vehicle%1:06:00::', 'boat%1:06:00::', 'sled%1:06:00::', 'trailer%1:06:00::', 'trailer%1:06:01::'],
    taglines: ['Test drive today.', 'Inspected, insured and ready to go.', 'Financing and trade-in available.'],
    medianBid: 1.6,
    medianSale: 900,
  },
  {
    key: 'tools',
    roots: [
      'tool%1:06:00::',
      'fastener%1:06:00::',
      'cleaning_implement%1:06:00::',
      'cleansing_agent%1:06:00::',
      'brush%1:06:00::',
      'implement%1:06:00::',
      'ladder%1:06:00::',
      'heater%1:06:00::',
      'filter%1:06:00::',
      'fixture%1:06:00::',
      'hardware%1:06:03::',
      'machine%1:06:00::',
      'pump%1:06:00::',
      'valve%1:06:00::',
      'movable_barrier%1:06:00::',
      'lighter%1:06:01::',
      'rope%1:06:00::',
      'holding_device%1:06:00::',
      'support%1:06:00::',
      'protective_covering%1:06:00::',
      'mechanism%1:06:00::',
    ],
    taglines: ['For builders, makers and repairs.', 'Trade quality for your workshop.', 'Spare parts for every job.'],
    medianBid: 0.8,
    medianSale: 85,
  },
  {
    key: 'office',
    roots: [
      'writing_implement%1:06:00::',
      'stationery%1:10:00::',
      'paper%1:27:00::',
      'book%1:10:00::',
      'book%1:06:00::',
      'magazine%1:10:00::',
      'card%1:06:00::',
      'office_furniture%1:06:00::',
      'map%1:06:00::',
    ],
    taglines: ['For desk, school and study.', 'For readers and writers.', 'Everything for the classroom.'],
    medianBid: 0.35,
    medianSale: 20,
  },
  {
    key: 'drinks',
    roots: ['beverage%1:13:00::'],
    taglines: ['For breakfast, lunch and thirsty friends.', 'Bottled at the source.', 'Taste the difference.'],
    medianBid: 0.45,
    medianSale: 28,
  },
  {
    key: 'food',
    roots: [
      'nutriment%1:13:00::',
      'foodstuff%1:13:00::',
      'produce%1:13:00::',
      'spice%1:13:00::',
      'meat%1:13:01::',
      'seafood%1:13:00::',
      'feed%1:13:00::',
      'fare%1:13:00::',
      'nut%1:20:00::',
    ],
    taglines: [
      'From our farm to your table.',
      'For your pantry and your favourite recipes.',
      'Picked, packed and sent the same day.',
    ],
    medianBid: 0.3,
    medianSale: 22,
  },
  {
    key: 'garden',
    roots: [
      'flower%1:20:00::',
      'houseplant%1:20:00::',
      'fertilizer%1:27:00::',
      'shrub%1:20:00::',
      'herb%1:20:00::',
      'vine%1:20:00::',
      'bulb%1:20:00::',
      'fruit_tree%1:20:00::',
    ],
    taglines: ['For balcony, bed and border.', 'Grown in our own nursery.', 'Planting guide included.'],
    medianBid: 0.4,
    medianSale: 24,
  },
  {
    key: 'materials',
    roots: [
      'fabric%1:06:00::',
      'leather%1:27:00::',
      'thread%1:06:00::',
      'building_material%1:27:00::',
      'wood%1:27:00::',
      'paint%1:06:00::',
      'adhesive_material%1:27:00::',
      'wax%1:27:00::',
      'gem%1:27:00::',
      'coating%1:06:00::',
      'fuel%1:27:00::',
      'padding%1:06:00::',
    ],
    taglines: [
      'By the yard, by the pound, by the pallet.',
      'For makers, sewers and builders.',
      'Samples sent at no cost.',
    ],
    medianBid: 0.5,
    medianSale: 65,
  },
];

/** Sense keys whose hyponyms are never sold here: weapons, drugs, punishment, buildings, transport systems, and the like. */
export const EXCLUDED_ROOTS: readonly string[] = [
  'weapon%1:06:00::',
  'weaponry%1:06:00::',
  'drug%1:06:00::',
  'ammunition%1:06:00::',
  'explosive_device%1:06:00::',
  'explosive%1:06:00::',
  'instrument_of_punishment%1:06:00::',
  'instrument_of_execution%1:06:00::',
  'contraceptive%1:06:00::',
  'military_vehicle%1:06:00::',
  'railcar%1:06:00::',
  'locomotive%1:06:00::',
  'public_transport%1:06:00::',
  'prosthesis%1:06:00::',
  'coffin%1:06:00::',
  'shackle%1:06:00::',
  'cigarette%1:06:00::',
  'cigar%1:06:00::',
  'pipe%1:06:00::',
  'marijuana%1:06:00::',
  'hashish%1:06:00::',
  'flag%1:06:00::',
  'sacred_text%1:10:00::',
  'weed%1:20:00::',
  'meal%1:13:00::',
  'course%1:13:00::',
  'design%1:06:00::',
  'playing_card%1:06:00::',
  'armor%1:06:00::',
  'roof%1:06:00::',
  'page%1:10:00::',
  'body_armor%1:06:00::',
  'embellishment%1:06:00::',
  'molding%1:06:01::',
  'molding%1:06:02::',
  'chad%1:27:00::',
  'ambulance%1:06:00::',
  'cab%1:06:02::',
  'cruiser%1:06:00::',
  'streetcar%1:06:00::',
  'horse-drawn_vehicle%1:06:00::',
  'warship%1:06:00::',
  'berth%1:06:00::',
  'organ_stop%1:06:00::',
  'weeds%1:06:00::',
  'electrical_circuit%1:06:00::',
  'base%1:06:02::',
];

/** Words of a gloss that mark a thing as not for sale: of war, crime, rites and the past. */
export const EXCLUDED_GLOSS =
  /\b(weapons?|guns?|rifles?|cannons?|pistols?|bullets?|ammunition|firearms?|bombs?|grenades?|missiles?|explosives?|soldiers?|military|warfare|wars?|army|armies|navy|naval|warriors?|knights?|kill|killing|punish\w*|torture|drugs?|narcotics?|opium|cocaine|heroin|poison\w*|toxic|slaves?|obscene|vulgar|offensive|derogatory|disparag\w*|sexual|sex|genital\w*|corpses?|coffins?|burial|dead|funeral|mourning|priests?|bishops?|pope|clergy\w*|liturg\w*|eucharist\w*|church|religious|formerly|former|obsolete|archaic|ancient|medieval|once used|in the past|early form|middle ages|century|centuries|roman|romans|greece|slang|prisoners?|prison|police|criminals?|surgical|surgeons?|surgery|surgically|tobacco|nuclear|radioactive|railway|railroad|locomotives?|trains?|aircraft|airplanes?|ships?|horse-drawn|voters?|ballots?|minstrel|negro\w*|racial|atropine|hallucinogen\w*|currency|coins?)\b/i;

/** Beginnings of a gloss that indicate a part, a place or a collection, and fields whose terms nobody buys. */
export const EXCLUDED_OPENING =
  /^(\((baseball|football|poker|bridge|card game|chess|heraldry|architecture|computer science|physics|music|golf|genetics|nautical)[^)]*\)|((the|a|an|any|either) )?([\w-]+ ){0,2}(parts?|portions?|sides?|ends?|edges?|surfaces?|areas?|regions?|openings?|places?|groups?|collections?|positions?|distances?|buildings?|rooms?|structures?|state|act|amount|quantity|number|fact|quality|mark|line|space|hole|remains|waste|layer) (of|in|on|that|which|where|between|for|from|to|at|in)\b)/i;

/** The department of a key; throws `RangeError` on an unknown one. */
export function departmentOf(key: string): Department {
  const found = DEPARTMENTS.find((department) => department.key === key);
  if (!found) throw new RangeError(`expected a department, received "${key}"`);
  return found;
}
