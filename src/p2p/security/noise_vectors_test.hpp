// libp2p's handshake with the keys of noise_keys_test.hpp, checked byte for byte against the state
// machine of
// @libp2p/noise 17.0.3; its initiator's side was accepted by js-libp2p 3.3.11.
#pragma once
#include <string_view>

namespace kwaai::p2p {

/// Hexadecimal; messages without their length.
struct NoiseVector {
    bool has_muxers;  // both sides offer /yamux/1.0.0
    std::string_view payload2;
    std::string_view message2;
    std::string_view payload3;
    std::string_view message3;
    std::string_view hash;
};

constexpr std::string_view kVectorMessage1 =
    "7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13";
constexpr std::string_view kVectorHello =
    "0015230247bb1fe59de7e6c327a703765ce954be48cd22";  // initiator's record 0, "hello"
constexpr std::string_view kVectorEmpty =
    "0010089e3f9f2f7f7aef3f25ecaca786ad21";  // initiator's record 1, ""
constexpr std::string_view kVectorWorld =
    "0015d58c5a979406477cdec086f9168d9458daa4a85db6";  // responder's record 0, "world"

constexpr NoiseVector kNoiseVectors[] = {
    {
        true,
        "0a240801122034b4d9043156cb6dcf0beb0a2949b7559c940d2bcb6dbe8c53a9b30278e3a7461240"
        "4523a022cf5a6d84ab45761a3a830de43852515e9ffc1b49d22f87429fcd11f5a0c837e27dfe0613"
        "e990524f8735ed59010c6b25244af25fb8ec1b4fd79ea803220e120c2f79616d75782f312e302e30",
        "7b0d47d93427f8311160781c7c733fd89f88970aef490d8aa0ee19a4cb8a1b14c397174f4837000d"
        "dcbb12813288249a5b12d88516876da181ce0fc959b99e517ea8998c13dc2b6f0c0dd1008f6a2fb9"
        "1abebf4319bf9631adbb3d84876d3bf951008f6be54334c3bf7625a7584bccfe0244f33b784488c7"
        "a6fefd572dd8cfaad1a7e74019aa52e730e8414cc6d7e17f714a34414d58358f988f649eb2ab40ec"
        "c7adc97b9dbb60dd426af175d422277b03e948184dff751e101ce3ff36cc602f1671f019382af1b6"
        "efc14aa9a9526b8722c428991551e6b8",
        "0a2408011220c6822637c7d310ec57627be00ba259d253749f4aaf644470cffbe53a35f732421240"
        "6372086acc8c92992a00c6f0deba0abaea71b2f3f347bed772078c0ea3983f648c35d52fc4a61c92"
        "99281108ee7f10e1420b9dc51e21baed0fb2d4c87c86ef01220e120c2f79616d75782f312e302e30",
        "cb841bb9a3d8fff17ed00e6c7a898c0a701ffe7a08e25ff252fc2e7deecd31220547d3895a6475a3"
        "ba732db9cb2858236466462950390045a2b53b30a020e0f215fa5ed2af9f50e2ef62b8d9dc76748c"
        "d0d88aca251d595ee925fa454d243c0807406c78848ac20a2efddc621c6c71fa0330b2b809169268"
        "bb0bf42078363db6d3f48fd27456a48143c7279b68311810ecee90354574fd811e86195b98bfbe5d"
        "389b98f0e8ccdea844f5009beb82ba867a5fb2295e444df1",
        "fb0a2bedfd573e1e548114a335718aee492e3853f0b580f6b771a969b333cc4c",
    },
    {
        false,
        "0a240801122034b4d9043156cb6dcf0beb0a2949b7559c940d2bcb6dbe8c53a9b30278e3a7461240"
        "4523a022cf5a6d84ab45761a3a830de43852515e9ffc1b49d22f87429fcd11f5a0c837e27dfe0613"
        "e990524f8735ed59010c6b25244af25fb8ec1b4fd79ea803",
        "7b0d47d93427f8311160781c7c733fd89f88970aef490d8aa0ee19a4cb8a1b14c397174f4837000d"
        "dcbb12813288249a5b12d88516876da181ce0fc959b99e517ea8998c13dc2b6f0c0dd1008f6a2fb9"
        "1abebf4319bf9631adbb3d84876d3bf951008f6be54334c3bf7625a7584bccfe0244f33b784488c7"
        "a6fefd572dd8cfaad1a7e74019aa52e730e8414cc6d7e17f714a34414d58358f988f649eb2ab40ec"
        "c7adc97b9dbb60dd426af175d422277b03e948184dff751e3a9beb3d696b6795682a5babe5d320d8",
        "0a2408011220c6822637c7d310ec57627be00ba259d253749f4aaf644470cffbe53a35f732421240"
        "6372086acc8c92992a00c6f0deba0abaea71b2f3f347bed772078c0ea3983f648c35d52fc4a61c92"
        "99281108ee7f10e1420b9dc51e21baed0fb2d4c87c86ef01",
        "cb841bb9a3d8fff17ed00e6c7a898c0a701ffe7a08e25ff252fc2e7deecd3122a1ece6b25d64070b"
        "a23b6e3e53ccfefd6466462950390045a2b53b30a020e0f215fa5ed2af9f50e2ef62b8d9dc76748c"
        "d0d88aca251d595ee925fa454d243c0807406c78848ac20a2efddc621c6c71fa0330b2b809169268"
        "bb0bf42078363db6d3f48fd27456a48143c7279b68311810ecee90354574fd818c61561fa0cefa3e"
        "5aa04db285bbe0fa",
        "2aae049075ce5613a5832b0c67f90c5a6b6583563531b1045e95b47a3389e159",
    },
};

}  // namespace kwaai::p2p
