/**
 * The tokenizer classes of transformers 4.57 and 5.24, by what they make of a tokenizer.json.
 *
 * In: nothing. Out: two sets of names.
 */

function names(text: string): ReadonlySet<string> {
  return new Set(text.trim().split(/\s+/));
}

/** Classes that run in Python and read no tokenizer.json: another text to ids. */
export const SLOW_TOKENIZERS: ReadonlySet<string> = names(`
  BartphoTokenizer BertGenerationTokenizer BertJapaneseTokenizer BertweetTokenizer BioGptTokenizer
  BlenderbotSmallTokenizer ByT5Tokenizer CTRLTokenizer CanineTokenizer ClvpTokenizer CpmAntTokenizer
  DiaTokenizer ErnieMTokenizer EsmTokenizer FSMTTokenizer FlaubertTokenizer GPTNeoXJapaneseTokenizer
  GPTSanJapaneseTokenizer GPTSw3Tokenizer JukeboxTokenizer LukeTokenizer M2M100Tokenizer MLukeTokenizer
  MarianTokenizer MgpstrTokenizer MyT5Tokenizer PLBartTokenizer ParakeetCTCTokenizer PerceiverTokenizer
  PhobertTokenizer ProphetNetTokenizer RagTokenizer RoCBertTokenizer RoFormerTokenizer
  RoFormerTokenizerFast SiglipTokenizer Speech2Text2Tokenizer Speech2TextTokenizer SpeechT5Tokenizer
  TapasTokenizer TapexTokenizer TransfoXLTokenizer VitsTokenizer Wav2Vec2CTCTokenizer
  Wav2Vec2PhonemeCTCTokenizer XLMProphetNetTokenizer XLMTokenizer
`);

/** Classes that go by tokenizer.json; each also with Fast at its end. */
export const FAST_TOKENIZERS: ReadonlySet<string> = names(`
  AlbertTokenizer BartTokenizer BarthezTokenizer BertTokenizer BigBirdTokenizer BlenderbotTokenizer
  BloomTokenizer CLIPTokenizer CamembertTokenizer CodeGenTokenizer CodeLlamaTokenizer CohereTokenizer
  ConvBertTokenizer CpmTokenizer DPRQuestionEncoderTokenizer DebertaTokenizer DebertaV2Tokenizer
  DistilBertTokenizer ElectraTokenizer FNetTokenizer FunnelTokenizer GPT2Tokenizer GPTNeoXTokenizer
  GemmaTokenizer HerbertTokenizer LEDTokenizer LayoutLMTokenizer LayoutLMv2Tokenizer
  LayoutLMv3Tokenizer LayoutXLMTokenizer LlamaTokenizer LongformerTokenizer LxmertTokenizer
  MBart50Tokenizer MBartTokenizer MPNetTokenizer MT5Tokenizer MobileBertTokenizer MvpTokenizer
  NllbTokenizer OpenAIGPTTokenizer PegasusTokenizer PreTrainedTokenizer Qwen2Tokenizer RealmTokenizer
  ReformerTokenizer RemBertTokenizer RetriBertTokenizer RobertaTokenizer SeamlessM4TTokenizer
  SplinterTokenizer SqueezeBertTokenizer T5Tokenizer TokenizersBackend UdopTokenizer WhisperTokenizer
  XGLMTokenizer XLMRobertaTokenizer XLNetTokenizer
`);
