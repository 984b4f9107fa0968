// The arrows between files, on the graph as the resolver sees it. test/architecture.test.ts holds the same table
// against the text of the sources; this one also finds cycles and imports that lead nowhere.
const { tiers, gateways, foldersBelow } = require('./scripts/architecture.cjs');

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');

const arrowRules = Object.keys(tiers).map((folder) => ({
  name: `src-${folder}-imports-downwards-only`,
  comment: `src/${folder} is in tier ${tiers[folder]} and may import from: ${foldersBelow(folder).join(', ')}`,
  severity: 'error',
  from: { path: `^src/${folder}/` },
  to: { path: '^src/', pathNot: `^src/(${foldersBelow(folder).join('|')})/` },
}));

const gatewayRules = Object.entries(gateways).map(([name, place]) => ({
  name: `gateway-${name.replaceAll(/[@/]/g, '-')}`,
  comment: `${name} is imported in ${place} only, so that it can be replaced and its traps are handled once`,
  severity: 'error',
  from: { path: '^(src|topology)/', pathNot: `^${escaped(place)}${place.endsWith('/') ? '' : '$'}` },
  to: { path: `(^|node_modules/)${escaped(name)}(/|$)` },
}));

module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      comment:
        'Files that need each other are one unit: neither can be understood, tested or replaced alone.',
      severity: 'error',
      from: { path: '^(src|topology|bench)/' },
      to: { circular: true },
    },
    {
      name: 'resolvable',
      comment: 'An import that leads nowhere fails when it is run, perhaps only at a customer.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'runtime-knows-no-shop',
      comment: 'The runtime is used by other topologies: it must not know this one, its pages or its tests.',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(topology|dashboard|test|bench|scripts)/' },
    },
    {
      name: 'shop-uses-entry-points',
      comment:
        'The topology imports the runtime as a customer would, which proves that the entry points are enough.',
      severity: 'error',
      from: { path: '^topology/' },
      to: { path: '^(src|test|bench|scripts)/', pathNot: '^src/(index|testing/index)\\.ts$' },
    },
    {
      name: 'tests-stay-outside',
      comment: 'What ships never imports a test.',
      severity: 'error',
      from: { path: '^(src|topology)/' },
      to: { path: '^test/' },
    },
    ...arrowRules,
    ...gatewayRules,
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // Not node_modules: an excluded package would be invisible to the rules about gateways.
    exclude: { path: '^dist/' },
    // Type imports are arrows too: a type binds two files as closely as a value.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      // "types" leads from #streams to the source, as it does for the compiler.
      conditionNames: ['types', 'import', 'node', 'default'],
      exportsFields: ['exports'],
      extensions: ['.ts', '.mts', '.d.ts', '.d.mts', '.js', '.mjs', '.cjs', '.json'],
    },
  },
};
