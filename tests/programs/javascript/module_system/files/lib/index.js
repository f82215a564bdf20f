exports.name = 'lib';
exports.parent = module.parent === require.main;
