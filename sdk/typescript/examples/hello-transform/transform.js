// A transform in JavaScript against the bare contract: adds `greeting` made from the field that `field` names.

const description = {
  name: 'hello-transform-javascript',
  version: '0.1.0',
  license: 'Apache-2.0',
  description: 'Greets the name in a field.',
  definitions: [{
    kind: 'transform',
    name: 'HelloJavaScript',
    doc: 'Adds a field `greeting` made from the field that `field` names.',
    encoding: 'json',
    config: [{
      name: 'field', type: 'string', default: 'name', importance: 'high',
      doc: 'Field of the value that holds the name.',
    }],
  }],
};

export const plugin = {
  describe: () => JSON.stringify(description),
};

export const transform = {
  validate: (definition, config) =>
    config.filter(([key, value]) => key === 'field' && !value).map(([key]) => ({ key, message: 'is empty' })),

  configure(definition, config) {
    const field = new Map(config).get('field') ?? 'name';
    return {
      read: [{ place: 'value', path: [field] }],
      write: [{ place: 'value', path: ['greeting'] }],
    };
  },

  reshape(definition, place, schema) {
    const struct = JSON.parse(schema);
    if (struct.type !== 'struct') throw { tag: 'fatal', val: 'only a struct can hold a greeting' };
    struct.fields.push({ field: 'greeting', type: 'string', optional: true });
    return JSON.stringify(struct);
  },

  apply(definition, columns) {
    const where = [];
    const values = [];
    JSON.parse(columns.val).columns[0].forEach((name, index) => {
      if (typeof name !== 'string') return;
      where.push(index);
      values.push(`hello, ${name}`);
    });
    return { tag: 'json', val: JSON.stringify({ edits: [{ op: 'set', target: 0, where, values }] }) };
  },
};
