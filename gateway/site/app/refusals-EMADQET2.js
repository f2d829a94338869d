import"./chunk-WLAWC4UR.js";import"./beside-XZD4NHXA.js";import"./behind-TWWAHOBF.js";import"./app-PPV2UODD.js";
